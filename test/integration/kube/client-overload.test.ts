/** What takes a control plane of its own: one that is overloaded, one that has forgotten, one that is gone. */
import { afterAll, beforeAll, expect, test } from 'vitest';

import { type ClientOptions, KubeClient, type RequestReport } from '../../../src/kube/client.ts';
import { loadConnection } from '../../../src/kube/config.ts';
import { CONFIG_MAPS } from '../../../src/kube/core.ts';
import { ConnectionError, isGone, isTooManyRequests } from '../../../src/kube/errors.ts';
import type { KubeObject } from '../../../src/kube/objects.ts';
import { defineResource } from '../../../src/kube/resources.ts';
import { type ControlPlane, startControlPlane } from '../../harness/control-plane.ts';
import { eventually } from '../../harness/eventually.ts';

const NAMESPACE = 'default';
/** Fair sharing is the API server's own: these make it give one account a handful of places and refuse the rest. */
const PRIORITY_LEVELS = flowControl('PriorityLevelConfiguration', 'prioritylevelconfigurations');
const FLOW_SCHEMAS = flowControl('FlowSchema', 'flowschemas');

interface FlowControlObject extends KubeObject {
  readonly spec: object;
}

function flowControl(kind: string, plural: string) {
  return defineResource<FlowControlObject>({
    group: 'flowcontrol.apiserver.k8s.io',
    version: 'v1',
    kind,
    plural,
    namespaced: false,
  });
}

let controlPlane: ControlPlane;
let client: KubeClient;

beforeAll(async () => {
  controlPlane = await startControlPlane({ name: 'kube-client' });
  client = await clientOf(controlPlane.kubeconfig);
});

afterAll(async () => {
  await client.close();
  await controlPlane.stop();
});

async function clientOf(kubeconfig: string, options: Partial<ClientOptions> = {}): Promise<KubeClient> {
  return new KubeClient({ connection: await loadConnection({ kubeconfig }), userAgent: 'kmm-test/1', ...options });
}

async function limitAccount(name: string): Promise<void> {
  const limited = { nominalConcurrencyShares: 1, lendablePercent: 0, borrowingLimitPercent: 0 };
  await client.create(PRIORITY_LEVELS, {
    metadata: { name },
    spec: { type: 'Limited', limited: { ...limited, limitResponse: { type: 'Reject' } } },
  });
  const everything = { apiGroups: ['*'], resources: ['*'], verbs: ['*'], namespaces: ['*'] };
  const subject = { kind: 'ServiceAccount', serviceAccount: { name, namespace: NAMESPACE } };
  await client.create(FLOW_SCHEMAS, {
    metadata: { name },
    spec: {
      priorityLevelConfiguration: { name },
      matchingPrecedence: 10,
      rules: [{ subjects: [subject], resourceRules: [everything] }],
    },
  });
}

test('an API server that answers 429 is asked again later, and nothing is done twice', async () => {
  await controlPlane.kubectl(['create', 'serviceaccount', 'many', '-n', NAMESPACE]);
  const account = `--serviceaccount=${NAMESPACE}:many`;
  await controlPlane.kubectl(['create', 'rolebinding', 'many', '-n', NAMESPACE, '--clusterrole=edit', account]);
  await limitAccount('many');
  const kubeconfig = await controlPlane.serviceAccountKubeconfig(NAMESPACE, 'many');
  const reports: RequestReport[] = [];
  const many = await clientOf(kubeconfig, { maxConcurrentRequests: 64, observer: (report) => reports.push(report) });
  // The server takes a moment to act on its new settings.
  await eventually(
    async () => {
      await Promise.all(Array.from({ length: 64 }, () => many.list(CONFIG_MAPS, { namespace: NAMESPACE })));
      expect(reports.map(({ code }) => code)).toContain(429);
    },
    { what: 'a 429', timeoutMs: 60_000 },
  );

  reports.length = 0;
  const data = { filler: 'x'.repeat(100_000) };
  const names = Array.from({ length: 64 }, (_, index) => `c${index}`);
  const calls = await Promise.allSettled(
    names.map((name) => many.create(CONFIG_MAPS, { metadata: { name, namespace: NAMESPACE }, data })),
  );
  const refused = calls.flatMap((call) => (call.status === 'rejected' ? [call.reason] : []));
  expect(refused.filter((error) => !isTooManyRequests(error))).toEqual([]);
  // Of those that were refused at first, some got through: more refusals than the five of each that did not.
  const codes = reports.map(({ code }) => code);
  expect(codes.filter((code) => code === 429).length).toBeGreaterThan(5 * refused.length);
  expect(codes.filter((code) => code === 201)).toHaveLength(names.length - refused.length);
  const fieldSelector = 'metadata.name!=kube-root-ca.crt';
  const list = await client.list(CONFIG_MAPS, { namespace: NAMESPACE, fieldSelector });
  expect(list.items).toHaveLength(names.length - refused.length);
  await many.close();
});

test('a page that continues from what the server has forgotten is Gone, and a watch from there too', async () => {
  const { metadata } = await client.list(CONFIG_MAPS, { limit: 1 });
  expect(metadata.continue).toBeTruthy();
  await client.patch(
    CONFIG_MAPS,
    { name: 'kube-root-ca.crt', namespace: 'kube-system' },
    { type: 'merge', body: { data: { a: 'b' } } },
  );
  await controlPlane.expireHistory();
  const error = await failure(client.list(CONFIG_MAPS, { limit: 1, continue: metadata.continue }));
  expect(isGone(error)).toBe(true);
  const { resourceVersion } = metadata;
  const stream = await client
    .watch(CONFIG_MAPS, { resourceVersion, signal: new AbortController().signal })
    .catch((refused: unknown) => refused);
  // Which of the two the server chooses depends on whether its cache or etcd notices.
  if (isGone(stream)) return;
  let text = '';
  if (isIterable(stream)) for await (const chunk of stream) text += Buffer.from(chunk).toString();
  expect(JSON.parse(text.split('\n')[0] ?? '')).toMatchObject({
    type: 'ERROR',
    object: { code: 410, reason: 'Expired' },
  });
});

test('an API server that is gone is told as such, and the same client works when it is back', async () => {
  await controlPlane.killApiServer();
  await eventually(
    async () => {
      const error = await failure(client.list(CONFIG_MAPS));
      expect(error).toBeInstanceOf(ConnectionError);
      expect(error).toMatchObject({ code: 'ECONNREFUSED' });
    },
    { what: 'the port to be closed' },
  );
  await controlPlane.startApiServer();
  expect((await client.list(CONFIG_MAPS, { limit: 1 })).items).toHaveLength(1);
});

test('an API server that takes connections and does not answer is given up, a call or a connect', async () => {
  const hasty = await clientOf(controlPlane.kubeconfig, { requestTimeoutMs: 1_000 });
  await hasty.list(CONFIG_MAPS, { limit: 1 });
  await controlPlane.pause('kube-apiserver');
  try {
    const aborted = client.list(CONFIG_MAPS, { signal: AbortSignal.timeout(500) });
    expect(await failure(aborted)).toMatchObject({ name: 'TimeoutError' });
    expect(await failure(hasty.list(CONFIG_MAPS))).toMatchObject({ code: 'UND_ERR_HEADERS_TIMEOUT' });
  } finally {
    await controlPlane.resume('kube-apiserver');
  }
  expect((await hasty.list(CONFIG_MAPS, { limit: 1 })).items).toHaveLength(1);
  await hasty.close();
});

async function failure(call: Promise<unknown>): Promise<unknown> {
  return call.then(
    () => expect.fail('succeeded'),
    (error: unknown) => error,
  );
}

function isIterable(value: unknown): value is AsyncIterable<Uint8Array> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value;
}
