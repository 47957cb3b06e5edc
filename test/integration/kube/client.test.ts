import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { KubeClient } from '../../../src/kube/client.ts';
import { loadConnection } from '../../../src/kube/config.ts';
import { CONFIG_MAPS, type ConfigMap, DAEMONSETS, NODES, type Node } from '../../../src/kube/core.ts';
import {
  ApiError,
  isAlreadyExists,
  isConflict,
  isForbidden,
  isInvalid,
  isNotFound,
  isUnauthorized,
} from '../../../src/kube/errors.ts';
import { defineResource } from '../../../src/kube/resources.ts';
import { type Cluster, useCluster } from '../../harness/cluster.ts';

let cluster: Cluster;
let client: KubeClient;
let namespace: string;

beforeAll(async () => {
  cluster = await useCluster();
  client = await clientOf(cluster.kubeconfig);
  namespace = await cluster.freshNamespace('kube-client');
});

afterAll(() => client.close());

async function clientOf(kubeconfig: string): Promise<KubeClient> {
  return new KubeClient({ connection: await loadConnection({ kubeconfig }), userAgent: 'kmm-test/1' });
}

async function failure(call: Promise<unknown>): Promise<unknown> {
  return call.then(
    (value) => expect.fail(`succeeded with ${JSON.stringify(value)}`),
    (error: unknown) => error,
  );
}

function newConfigMap(name: string, data: Readonly<Record<string, string>> = {}): Promise<ConfigMap> {
  return client.create(CONFIG_MAPS, { metadata: { name, namespace }, data });
}

describe('verbs', () => {
  test('an object that was created can be got and listed, and apiVersion and kind were filled in', async () => {
    const created = await newConfigMap('create', { a: '1' });
    expect(created).toMatchObject({ apiVersion: 'v1', kind: 'ConfigMap', data: { a: '1' } });
    expect(await client.get(CONFIG_MAPS, { name: 'create', namespace })).toEqual(created);
    const list = await client.list(CONFIG_MAPS, { namespace, fieldSelector: 'metadata.name=create' });
    expect(list.items.map(({ metadata }) => metadata.uid)).toEqual([created.metadata.uid]);
    expect(Number(list.metadata.resourceVersion)).toBeGreaterThan(0);
  });

  test('a list is narrowed by labels, and without a namespace it is of all of them', async () => {
    const labels = { 'kube-client': 'labelled' };
    const other = await cluster.freshNamespace('kube-client');
    await client.create(CONFIG_MAPS, { metadata: { name: 'labelled', namespace, labels } });
    await client.create(CONFIG_MAPS, { metadata: { name: 'labelled', namespace: other, labels } });
    const labelSelector = 'kube-client=labelled';
    expect((await client.list(CONFIG_MAPS, { namespace, labelSelector })).items).toHaveLength(1);
    expect((await client.list(CONFIG_MAPS, { labelSelector })).items).toHaveLength(2);
  });

  test('an update replaces the object, unless its resourceVersion or uid is not the current one', async () => {
    const created = await newConfigMap('update', { a: '1' });
    const updated = await client.update(CONFIG_MAPS, { ...created, data: { b: '2' } });
    expect(updated.data).toEqual({ b: '2' });
    expect(isConflict(await failure(client.update(CONFIG_MAPS, { ...created, data: { c: '3' } })))).toBe(true);
    const metadata = { ...updated.metadata, uid: 'another' };
    expect(isConflict(await failure(client.update(CONFIG_MAPS, { ...updated, metadata })))).toBe(true);
  });

  test('a merge patch changes what it names, takes what it names null, and minds a uid in it', async () => {
    const { metadata } = await newConfigMap('merge', { keep: '1', take: '2', change: '3' });
    const ref = { name: 'merge', namespace };
    const patch = { data: { take: null, change: '4' }, metadata: { uid: metadata.uid } };
    const patched = await client.patch(CONFIG_MAPS, ref, { type: 'merge', body: patch });
    expect(patched.data).toEqual({ keep: '1', change: '4' });
    const another = { metadata: { uid: 'another' }, data: { keep: '5' } };
    expect(isConflict(await failure(client.patch(CONFIG_MAPS, ref, { type: 'merge', body: another })))).toBe(true);
  });

  test('a JSON patch whose test does not hold changes nothing', async () => {
    await newConfigMap('json', { a: '1' });
    const ref = { name: 'json', namespace };
    const replace = { op: 'replace', path: '/data/a', value: '2' } as const;
    const patched = await client.patch(CONFIG_MAPS, ref, {
      type: 'json',
      body: [{ op: 'test', path: '/data/a', value: '1' }, replace],
    });
    expect(patched.data).toEqual({ a: '2' });
    const wrong = [
      { op: 'test', path: '/data/a', value: 'x' },
      { ...replace, value: '3' },
    ] as const;
    expect(isInvalid(await failure(client.patch(CONFIG_MAPS, ref, { type: 'json', body: wrong })))).toBe(true);
    expect((await client.get(CONFIG_MAPS, ref)).data).toEqual({ a: '2' });
  });

  test('an apply creates, owns its fields, is refused those of others, and takes them by force', async () => {
    const ref = { name: 'apply', namespace };
    const apply = (fieldManager: string, a: string, force?: boolean): Promise<ConfigMap> =>
      client.patch(CONFIG_MAPS, ref, { type: 'apply', body: { metadata: ref, data: { a } }, fieldManager, force });
    expect((await apply('first', '1')).data).toEqual({ a: '1' });
    const error = await failure(apply('second', '2'));
    expect(isConflict(error)).toBe(true);
    expect(error).toMatchObject({ message: expect.stringContaining('conflict with "first"') });
    expect((await apply('second', '2', true)).data).toEqual({ a: '2' });
    expect(isConflict(await failure(apply('first', '3')))).toBe(true);
  });

  test('a patch of the status subresource changes status and nothing else, and the other way round', async () => {
    const name = 'kube-client-status';
    await cluster.nodes.create({ name, kernel: '6.1.0' });
    const unschedulable = { spec: { unschedulable: true } };
    const booted = { status: { nodeInfo: { kernelVersion: '6.2.0' } } };
    const patch = (body: object, subresource?: string): Promise<Node> =>
      client.patch(NODES, { name }, { type: 'merge', body }, { subresource });
    const untouched = await patch(booted);
    expect(untouched.status?.nodeInfo?.kernelVersion).toBe('6.1.0');
    const patched = await patch({ ...booted, ...unschedulable }, 'status');
    expect(patched.status?.nodeInfo?.kernelVersion).toBe('6.2.0');
    expect(patched.spec?.unschedulable).toBeUndefined();
  });

  test('a deletion with the uid or resourceVersion of another object is a conflict; with the right ones it happens', async () => {
    const { metadata } = await newConfigMap('delete');
    const ref = { name: 'delete', namespace };
    expect(isConflict(await failure(client.delete(CONFIG_MAPS, ref, { preconditions: { uid: 'another' } })))).toBe(
      true,
    );
    const stale = { uid: metadata.uid, resourceVersion: '1' };
    expect(isConflict(await failure(client.delete(CONFIG_MAPS, ref, { preconditions: stale })))).toBe(true);
    await client.get(CONFIG_MAPS, ref);
    const { uid, resourceVersion } = metadata;
    await client.delete(CONFIG_MAPS, ref, { preconditions: { uid, resourceVersion }, propagationPolicy: 'Background' });
    expect(isNotFound(await failure(client.get(CONFIG_MAPS, ref)))).toBe(true);
    expect(isNotFound(await failure(client.delete(CONFIG_MAPS, ref)))).toBe(true);
  });
});

describe('errors', () => {
  test('an object that is not there is NotFound and named, in the words of the server', async () => {
    const error = await failure(client.get(DAEMONSETS, { name: 'missing', namespace }));
    expect(error).toBeInstanceOf(ApiError);
    expect(error).toMatchObject({
      status: 404,
      reason: 'NotFound',
      message: `get daemonsets ${namespace}/missing: daemonsets.apps "missing" not found`,
      details: { name: 'missing', group: 'apps', kind: 'daemonsets' },
    });
    expect(isNotFound(error)).toBe(true);
  });

  test('a kind that the server does not know is told as one', async () => {
    const unknown = defineResource({ group: 'kube.test', version: 'v1', kind: 'X', plural: 'xs', namespaced: false });
    const error = await failure(client.list(unknown));
    expect(isNotFound(error)).toBe(true);
    expect(String(error)).toContain('the server knows no xs of kube.test/v1');
  });

  test('a name that is taken is AlreadyExists and no conflict', async () => {
    await newConfigMap('twice');
    const error = await failure(newConfigMap('twice'));
    expect([isAlreadyExists(error), isConflict(error)]).toEqual([true, false]);
  });

  test('an object the schema refuses is Invalid, with the field', async () => {
    const error = await failure(newConfigMap('Not A Name'));
    expect(isInvalid(error)).toBe(true);
    expect(error).toMatchObject({ details: { causes: [{ field: 'metadata.name' }] } });
  });

  test('an unknown field is refused only where that is asked for', async () => {
    const object = { metadata: { name: 'strict', namespace }, dta: {} };
    const error = await failure(client.create(CONFIG_MAPS, object, { fieldValidation: 'Strict' }));
    expect(String(error)).toContain('unknown field "dta"');
    await client.create(CONFIG_MAPS, object);
  });

  test('a right that is missing is Forbidden, and a token that is none Unauthorized', async () => {
    await cluster.controlPlane.kubectl(['create', 'serviceaccount', 'nobody', '-n', namespace]);
    const kubeconfig = await cluster.controlPlane.serviceAccountKubeconfig(namespace, 'nobody');
    const nobody = await clientOf(kubeconfig);
    const error = await failure(nobody.list(NODES));
    expect(isForbidden(error)).toBe(true);
    expect(String(error)).toContain(`"system:serviceaccount:${namespace}:nobody" cannot list resource "nodes"`);
    await nobody.close();

    const connection = await loadConnection({ kubeconfig });
    const impostor = new KubeClient({
      connection: {
        ...connection,
        authorize: async () => ({
          ...(await connection.authorize()),
          headers: { authorization: 'Bearer not-a-token' },
        }),
        refresh: async () => false,
      },
      userAgent: 'kmm-test/1',
    });
    const rejected = await failure(impostor.list(NODES));
    expect(isUnauthorized(rejected)).toBe(true);
    expect(JSON.stringify(rejected) + String(rejected)).not.toContain('not-a-token');
    await impostor.close();
  });

  test.each(['', '.', '..', '../secrets', 'a/b', '%2e%2e', 'x/../../nodes'])(
    'the name %j reaches no server',
    async (name) => {
      const refused = [
        () => client.get(CONFIG_MAPS, { name, namespace }),
        () => client.get(CONFIG_MAPS, { name: 'x', namespace: name }),
        () => client.patch(CONFIG_MAPS, { name, namespace }, { type: 'merge', body: {} }),
        () => client.update(CONFIG_MAPS, { metadata: { name, namespace } }),
        () => client.create(CONFIG_MAPS, { metadata: { name: 'x', namespace: name } }),
        () => client.delete(CONFIG_MAPS, { name, namespace }),
        () => client.list(CONFIG_MAPS, { namespace: name }),
      ];
      for (const call of refused) expect(await failure(call())).toBeInstanceOf(TypeError);
    },
  );

  test.each(['?watch=1', '#', ' ', 'é', ':', '..;'])('the name %j is looked for as it is', async (name) => {
    const error = await failure(client.get(CONFIG_MAPS, { name, namespace }));
    expect(error).toMatchObject({ status: 404, details: { name } });
  });
});

describe('pages', () => {
  test('1,000 objects come in pages, each once, and a page can be asked for again', async () => {
    const many = await cluster.freshNamespace('kube-client-pages');
    const names = Array.from({ length: 1_000 }, (_, index) => `c${index}`);
    await Promise.all(names.map((name) => client.create(CONFIG_MAPS, { metadata: { name, namespace: many } })));
    const options = { namespace: many, limit: 150, fieldSelector: 'metadata.name!=kube-root-ca.crt' };
    const seen: (string | undefined)[] = [];
    const tokens: (string | undefined)[] = [];
    let token: string | undefined;
    do {
      const page = await client.list(CONFIG_MAPS, { ...options, continue: token });
      seen.push(...page.items.map(({ metadata }) => metadata.name));
      token = page.metadata.continue;
      tokens.push(token);
    } while (token !== undefined);
    expect(tokens.length).toBeGreaterThanOrEqual(7);
    expect(seen).toHaveLength(1_000);
    expect(new Set(seen)).toEqual(new Set(names));
    const again = await client.list(CONFIG_MAPS, { ...options, continue: tokens[0] });
    expect(again.items[0]?.metadata.name).toBe(seen[150]);
  });
});

describe('watches', () => {
  test('a watch tells of what happens after its resourceVersion, and ends when the server ends it', async () => {
    const { metadata } = await client.list(CONFIG_MAPS, { namespace });
    const stream = await client.watch(CONFIG_MAPS, {
      namespace,
      resourceVersion: metadata.resourceVersion,
      timeoutSeconds: 2,
      signal: new AbortController().signal,
    });
    await newConfigMap('watched');
    let text = '';
    for await (const chunk of stream) text += Buffer.from(chunk).toString('utf8');
    const [first] = text.split('\n');
    expect(JSON.parse(first ?? '')).toMatchObject({ type: 'ADDED', object: { metadata: { name: 'watched' } } });
  });

  test('an aborted watch throws the reason, a destroyed one ends', async () => {
    const abort = new AbortController();
    const options = { namespace, resourceVersion: '0', signal: abort.signal };
    const destroyed = await client.watch(CONFIG_MAPS, options);
    const ended = read(destroyed);
    destroyed.destroy();
    await ended;
    const aborted = read(await client.watch(CONFIG_MAPS, options));
    abort.abort(new Error('enough'));
    await expect(aborted).rejects.toThrow('enough');
  });

  test('a watch of a kind that may not be watched is refused', async () => {
    const error = await failure(
      client.watch(CONFIG_MAPS, { namespace, labelSelector: 'not a selector', signal: new AbortController().signal }),
    );
    expect(error).toMatchObject({ status: 400, message: expect.stringContaining(`watch configmaps ${namespace}: `) });
  });

  test('more watches than requests may be under way leave room for requests', async () => {
    const narrow = new KubeClient({
      connection: await loadConnection({ kubeconfig: cluster.kubeconfig }),
      userAgent: 'kmm-test/1',
      maxConcurrentRequests: 1,
    });
    const { signal } = new AbortController();
    const streams = await Promise.all(
      Array.from({ length: 12 }, () => narrow.watch(CONFIG_MAPS, { namespace, resourceVersion: '0', signal })),
    );
    await narrow.list(CONFIG_MAPS, { namespace });
    for (const stream of streams) stream.destroy();
    await narrow.close();
  });
});

async function read(stream: AsyncIterable<Uint8Array>): Promise<number> {
  let bytes = 0;
  for await (const chunk of stream) bytes += chunk.length;
  return bytes;
}

test('the server sees our user agent', async () => {
  const mark = await cluster.controlPlane.auditMark();
  await client.list(CONFIG_MAPS, { namespace, labelSelector: 'user-agent=seen' });
  const events = await cluster.controlPlane.auditEvents(mark);
  expect(events.find(({ uri }) => uri.includes('user-agent%3Dseen'))?.userAgent).toBe('kmm-test/1');
});
