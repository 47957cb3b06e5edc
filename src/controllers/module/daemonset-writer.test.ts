import { afterEach, describe, expect, it } from 'vitest';
import { captureLog } from '../../../test/harness/captured-log.ts';
import { aModule, nodesOf } from '../../../test/harness/modules.ts';
import { aLoaderDaemonSet, aNode, aSnapshot, stored } from '../../../test/harness/plan-world.ts';
import { answer, refuse, type StubServer, stubServer } from '../../../test/harness/stub-server.ts';
import { podEngine } from '../../build/engines/pod.ts';
import type { DaemonSet } from '../../kube/core.ts';
import { createCaches } from '../caches.ts';
import { DaemonSetWriter, type WriteOutcome } from './daemonset-writer.ts';
import { planModule } from './plan.ts';

const module = stored(aModule('driver'));
const live = aLoaderDaemonSet(module, '5.4.0').build();
const unused = { observedGeneration: 1, desiredNumberScheduled: 0, currentNumberScheduled: 0, numberMisscheduled: 0 };

const ENGINE = podEngine({ builderImage: 'kmm-builder:test', isolation: () => ({ kind: 'user-namespace' }) });

const stubs: StubServer[] = [];
afterEach(async () => {
  await Promise.all(stubs.splice(0).map((stub) => stub.close()));
});

/** What the writer does with a DaemonSet that seems unneeded, when a live read of it gives `standing`. */
async function removing(standing: Pick<DaemonSet, 'metadata' | 'status'> | 'gone'): Promise<{
  readonly outcome: WriteOutcome;
  readonly deletions: readonly unknown[];
}> {
  const deletions: unknown[] = [];
  const stub = await stubServer((request, response, body) => {
    if (request.method === 'DELETE') {
      deletions.push(JSON.parse(body));
      answer(response, { kind: 'Status', status: 'Success' });
    } else if (standing === 'gone') {
      refuse(response, 404, 'NotFound');
    } else {
      answer(response, standing);
    }
  });
  stubs.push(stub);
  const client = stub.client();
  const outcome = await new DaemonSetWriter(client, createCaches(client, { engine: ENGINE })).apply(
    { kind: 'remove-if-unused', live },
    { module, takenNames: new Set(), signal: new AbortController().signal, log: captureLog().log },
  );
  return { outcome, deletions };
}

describe('a DaemonSet that seems unneeded', () => {
  it('is deleted when the API server says that no pod of it is wanted or running, in exactly that state', async () => {
    const metadata = { ...live.metadata, resourceVersion: '77' };
    expect((await removing({ metadata, status: unused })).deletions).toMatchObject([
      { preconditions: { uid: live.metadata.uid, resourceVersion: '77' }, propagationPolicy: 'Background' },
    ]);
  });

  it.each<[string, Pick<DaemonSet, 'metadata' | 'status'>]>([
    ['wants a pod after all', { metadata: live.metadata, status: { ...unused, desiredNumberScheduled: 1 } }],
    ['still runs a pod', { metadata: live.metadata, status: { ...unused, currentNumberScheduled: 1 } }],
    ['runs a pod where it should not', { metadata: live.metadata, status: { ...unused, numberMisscheduled: 1 } }],
    ['has not been looked at by its controller', { metadata: { ...live.metadata, generation: 2 }, status: unused }],
    ['has no status yet', { metadata: live.metadata }],
    ['is not of this Module', { metadata: { ...live.metadata, ownerReferences: [] }, status: unused }],
  ])('stays when the live one %s', async (_why, standing) => {
    const { outcome, deletions } = await removing(standing);
    expect(deletions).toEqual([]);
    expect(outcome.error).toBeUndefined();
  });

  it('that has gone meanwhile is no error', async () => {
    const { outcome, deletions } = await removing('gone');
    expect(deletions).toEqual([]);
    expect(outcome.error).toBeUndefined();
  });
});

const node = aNode('n1').running('5.4.0').withLabels(nodesOf('driver'));

/** What the writer asks for, and says, when a DaemonSet of the name stands already. */
async function creatingOver(ownerReferences: DaemonSet['metadata']['ownerReferences'], isRemembered = false) {
  const [action] = planModule(aSnapshot(module).withNodes(node).build()).daemonSets;
  if (action?.kind !== 'create') throw new Error('a create is due');
  const standing = {
    ...action.desired,
    metadata: {
      ...action.desired.metadata,
      labels: {},
      uid: 'standing',
      resourceVersion: '7',
      generation: 1,
      ownerReferences,
    },
  };
  const methods: string[] = [];
  const stub = await stubServer((request, response, body) => {
    methods.push(request.method ?? '');
    if (request.method === 'POST') refuse(response, 409, 'AlreadyExists');
    else if (request.method === 'PUT') answer(response, JSON.parse(body));
    else answer(response, standing);
  });
  stubs.push(stub);
  const client = stub.client();
  const name = action.desired.metadata.name ?? '';
  const takenNames = new Set(isRemembered ? [name] : []);
  const outcome: WriteOutcome = await new DaemonSetWriter(client, createCaches(client, { engine: ENGINE })).apply(
    action,
    {
      module,
      takenNames,
      signal: new AbortController().signal,
      log: captureLog().log,
    },
  );
  return { name, outcome, methods, takenNames };
}

describe('a DaemonSet whose name is taken', () => {
  it('by a foreign one is never written over, and its name is remembered', async () => {
    const { name, outcome, methods, takenNames } = await creatingOver([]);
    expect(outcome.problem?.state).toBe('NameTaken');
    expect(methods).toEqual(['POST', 'GET']);
    expect([...takenNames]).toEqual([name]);
  });

  it('is looked at by a GET from then on, not by a POST that fails', async () => {
    const { outcome, methods } = await creatingOver([], true);
    expect(outcome.problem?.state).toBe('NameTaken');
    expect(methods).toEqual(['GET']);
  });

  it('by ours without its labels is put back and told as restored', async () => {
    const { outcome, methods } = await creatingOver(aLoaderDaemonSet(module, '5.4.0').build().metadata.ownerReferences);
    expect(methods.slice(0, 3)).toEqual(['POST', 'GET', 'PUT']);
    expect(outcome.restored).toBe(true);
  });
});
