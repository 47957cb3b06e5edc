import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';

import { KubeClient } from '../../../src/kube/client.ts';
import { loadConnection } from '../../../src/kube/config.ts';
import { CONFIG_MAPS, EVENTS, type Event } from '../../../src/kube/core.ts';
import { type EventRecord, EventRecorder } from '../../../src/runtime/event-recorder.ts';
import { captureLog } from '../../harness/captured-log.ts';
import { NAMESPACES, useCluster } from '../../harness/cluster.ts';
import { eventually } from '../../harness/eventually.ts';
import { ManualClock } from '../../harness/manual-clock.ts';
import { OPERATOR_NAMESPACE, OPERATOR_SERVICE_ACCOUNT } from '../../harness/operator-identity.ts';

const { admin, controlPlane, freshNamespace } = await useCluster();
const ROLES = fileURLToPath(new URL('../../../config/rbac', import.meta.url));

/** It records with the operator's own rights: that it may count an Event up is seen nowhere else, as that takes five minutes. */
let kubeconfig: string;
beforeAll(async () => {
  await controlPlane.kubectl(['apply', '--server-side', '-k', ROLES]);
  kubeconfig = await controlPlane.serviceAccountKubeconfig(OPERATOR_NAMESPACE, OPERATOR_SERVICE_ACCOUNT);
});

/** A recorder, and an object in a namespace of its own to record about. */
async function newRecorder() {
  const namespace = await freshNamespace('events');
  const { metadata } = await admin.create(CONFIG_MAPS, { metadata: { namespace, name: 'subject' } });
  const client = new KubeClient({ connection: await loadConnection({ kubeconfig }), userAgent: 'kmm/recorder' });
  onTestFinished(() => client.close());
  const clock = new ManualClock(Date.now());
  const { log, lines } = captureLog();
  const recorder = new EventRecorder({ client, component: 'kmm', instance: 'pod-1', log, clock });
  const regarding = { apiVersion: 'v1', kind: 'ConfigMap', namespace, name: 'subject', uid: metadata.uid };
  return {
    namespace,
    clock,
    lines,
    record: (parts: Partial<EventRecord> = {}) =>
      recorder.record({ regarding, type: 'Normal', reason: 'Loaded', message: 'It is loaded.', ...parts }),
    flush: () => recorder.flush(AbortSignal.timeout(10_000)),
    events: (): Promise<readonly Event[]> =>
      admin.list(EVENTS, { namespace, fieldSelector: 'involvedObject.name=subject' }),
  };
}

describe('the event recorder, on a real server', () => {
  it('makes one Event of the same words, whose count and last time follow, as kubectl describe shows', async () => {
    const { namespace, clock, record, events } = await newRecorder();
    record();
    await eventually(async () => expect(await events()).toMatchObject([{ count: 1 }]), { what: 'the Event' });
    clock.advance(60_000);
    for (let i = 0; i < 6; i++) record();
    clock.advance(4 * 60_000);
    await eventually(async () => expect(await events()).toMatchObject([{ count: 7 }]), { what: 'its count' });
    const [event] = await events();
    expect(Date.parse(event?.lastTimestamp ?? '') - Date.parse(event?.firstTimestamp ?? '')).toBe(60_000);
    expect(event).toMatchObject({ type: 'Normal', reason: 'Loaded', source: { component: 'kmm' } });
    const described = await controlPlane.kubectl(['describe', 'configmap', 'subject', '-n', namespace]);
    expect(described).toMatch(/Normal\s+Loaded\s+.*\(x7 over .*\)\s+kmm\s+It is loaded\./);
  });

  it('writes no more than 25 Events about one object in a burst', async () => {
    const { record, events, flush, lines } = await newRecorder();
    for (let i = 0; i < 40; i++) record({ message: `message ${i}` });
    await flush();
    expect(await events()).toHaveLength(25);
    expect(lines.filter(({ msg }) => msg === 'event not recorded: too many about this object')).toHaveLength(15);
  });

  it('stores a message that is too long cut at 1024 bytes, between two characters', async () => {
    const { record, events, flush } = await newRecorder();
    record({ message: `x${'世界'.repeat(500)}` });
    await flush();
    const [event] = await events();
    const message = event?.message ?? '';
    // One byte, 340 characters of three, three dots.
    expect(message).toBe(`x${'世界'.repeat(170)}...`);
    expect(Buffer.byteLength(message)).toBe(1024);
  });

  it('takes an event about a cluster-scoped object', async () => {
    const { namespace, record, flush } = await newRecorder();
    const regarding = { apiVersion: 'v1', kind: 'Namespace', name: namespace };
    record({ regarding, type: 'Warning' });
    await flush();
    const fieldSelector = `involvedObject.kind=Namespace,involvedObject.name=${namespace}`;
    const found = await admin.list(EVENTS, { namespace: 'default', fieldSelector });
    expect(found).toMatchObject([{ type: 'Warning', message: 'It is loaded.' }]);
    for (const { metadata } of found) await admin.delete(EVENTS, { namespace: 'default', name: metadata.name ?? '' });
  });

  it('takes it as no error that the namespace is being deleted, nor that it is gone', async () => {
    const { namespace, record, flush, lines, events } = await newRecorder();
    const held = { namespace, name: 'held' };
    await admin.create(CONFIG_MAPS, { metadata: { ...held, finalizers: ['kmm.test/held'] } });
    await admin.delete(NAMESPACES, { name: namespace });
    record({ message: 'while it goes' });
    const dropped = (): unknown[] => lines.map(({ level, msg }) => `${String(level)}: ${String(msg)}`);
    const quietly = 'debug: event dropped: its namespace is going';
    await eventually(() => expect(dropped()).toEqual([quietly]), { what: 'the recorder to drop the event' });
    await admin.patch(CONFIG_MAPS, held, { metadata: { finalizers: null } });
    await eventually(
      async () => expect(await admin.list(NAMESPACES, { fieldSelector: `metadata.name=${namespace}` })).toEqual([]),
      { what: 'the end of the namespace' },
    );
    record({ message: 'when it is gone' });
    await flush();
    expect(dropped()).toEqual([quietly, quietly]);
    expect(await events()).toEqual([]);
  });
});
