import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { CONFIG_MAPS, LEASES, type Lease } from '../../../src/kube/core.ts';
import { useCluster } from '../../harness/cluster.ts';
import { eventually } from '../../harness/eventually.ts';
import { type LogLine, Program } from './program.ts';
import { startStallingProxy } from './stalling-proxy.ts';

const { admin, controlPlane, kubeconfig, freshNamespace } = await useCluster();

const LEASE_MS = 3_000;

function candidate(namespace: string, identity: string, env: Readonly<Record<string, string>> = {}): Program {
  return new Program('candidate.ts', {
    KUBECONFIG: kubeconfig,
    NAMESPACE: namespace,
    IDENTITY: identity,
    LEASE_MS: String(LEASE_MS),
    ...env,
  });
}

/** `a` leads and writes; `b` has seen that and waits. */
async function leaderAndStandby(
  env: { readonly a?: Record<string, string>; readonly both?: Record<string, string> } = {},
) {
  const namespace = await freshNamespace('leader');
  const a = candidate(namespace, 'a', { ...env.both, ...env.a });
  await a.line('leading');
  const b = candidate(namespace, 'b', env.both);
  expect(await b.line('waiting for the lease')).toMatchObject({ holder: 'a' });
  await eventually(async () => expect(await terms(namespace)).toEqual(['a']), { what: 'a write of the leader' });
  return { namespace, a, b };
}

interface Write {
  readonly identity: string;
  /** When the writer had made sure that it leads. */
  readonly decidedAt: number;
}

/** What was written, in the server's order. */
async function writes(namespace: string): Promise<Write[]> {
  const written = (await admin.list(CONFIG_MAPS, { namespace })).filter(({ data }) => data?.['identity'] !== undefined);
  return written
    .sort((a, b) => Number(a.metadata.resourceVersion) - Number(b.metadata.resourceVersion))
    .map(({ data }) => ({ identity: data?.['identity'] ?? '', decidedAt: Number(data?.['decidedAt']) }));
}

/** Who wrote, with the writes of one after another taken as one term. */
async function terms(namespace: string): Promise<string[]> {
  const all = (await writes(namespace)).map(({ identity }) => identity);
  return all.filter((identity, i) => identity !== all[i - 1]);
}

function lease(namespace: string): Promise<Lease> {
  return admin.get(LEASES, { namespace, name: 'candidates' });
}

/** All of it ran on one machine, so the times of different processes compare. */
function at({ time }: LogLine): number {
  return Date.parse(time);
}

/** When the holder last said that it holds the lease: before anybody could see it. */
async function renewedAt(namespace: string): Promise<number> {
  return Date.parse((await lease(namespace)).spec?.renewTime ?? '');
}

async function waitForWrites(namespace: string, identity: string, count: number): Promise<void> {
  await eventually(
    async () => {
      const written = (await writes(namespace)).filter((write) => write.identity === identity);
      expect(written.length).toBeGreaterThanOrEqual(count);
    },
    { what: `${count} writes of ${identity}` },
  );
}

describe('of two processes', () => {
  it('one leads and writes, for longer than a lease lasts', async () => {
    const { namespace, b } = await leaderAndStandby();
    await eventually(
      async () => {
        const { acquireTime = '', renewTime = '' } = (await lease(namespace)).spec ?? {};
        expect(Date.parse(renewTime) - Date.parse(acquireTime)).toBeGreaterThan(1.5 * LEASE_MS);
      },
      { what: 'a leader that has renewed for longer than a lease' },
    );
    expect(b.messages).not.toContain('leading');
    expect(await terms(namespace)).toEqual(['a']);
    expect((await lease(namespace)).spec).toMatchObject({ holderIdentity: 'a', leaseTransitions: 0 });
  });

  it('the other leads when the leader was killed: not before its lease has run out, and soon after', async () => {
    const { namespace, a, b } = await leaderAndStandby();
    a.signal('SIGKILL');
    await a.ended;
    const lastRenewedAt = await renewedAt(namespace);
    const led = await b.line('leading', 10_000);
    expect(at(led) - lastRenewedAt).toBeGreaterThanOrEqual(LEASE_MS);
    await waitForWrites(namespace, 'b', 3);
    expect(await terms(namespace)).toEqual(['a', 'b']);
    expect((await lease(namespace)).spec).toMatchObject({ holderIdentity: 'b', leaseTransitions: 1 });
  });

  it('the leader whose connection went silent stops writing before the other may lead, and ends with 1', async () => {
    const proxy = await startStallingProxy(controlPlane.server);
    const { namespace, a, b } = await leaderAndStandby({ a: { KUBECONFIG: await kubeconfigThrough(proxy.url) } });
    proxy.stall();
    const stopped = await a.line('no longer leading');
    expect(stopped['reason']).toContain('it could not be renewed for 2000 ms');
    const led = await b.line('leading');
    expect(at(stopped)).toBeLessThan(at(led));
    expect((await a.ended).code).toBe(1);
    await waitForWrites(namespace, 'b', 3);
    expect(await terms(namespace)).toEqual(['a', 'b']);
  });

  it('the leader that was stopped and goes on when the other leads writes nothing more, and ends with 1', async () => {
    const { namespace, a, b } = await leaderAndStandby();
    a.signal('SIGSTOP');
    await b.line('leading');
    await waitForWrites(namespace, 'b', 3);
    a.signal('SIGCONT');
    expect((await a.ended).code).toBe(1);
    expect(a.lines.filter(({ level }) => level === 'fatal')).toMatchObject([{ msg: 'stopping after a failure' }]);
    expect(a.messages).not.toContain('released the lease');

    const all = await writes(namespace);
    const [byA, byB] = ['a', 'b'].map((identity) => all.filter((write) => write.identity === identity));
    const firstOfB = Math.min(...(byB ?? []).map(({ decidedAt }) => decidedAt));
    expect(Math.max(...(byA ?? []).map(({ decidedAt }) => decidedAt))).toBeLessThan(firstOfB);
    // A process can be stopped between its last look and the sending: that one write is what no look can prevent.
    expect(
      all.slice(all.findIndex(({ identity }) => identity === 'b')).filter(({ identity }) => identity === 'a').length,
    ).toBeLessThanOrEqual(1);
  });

  it('the other leads at once when the leader is asked to stop, though the lease is long', async () => {
    // Nobody waits an hour for it to run out.
    const { namespace, a, b } = await leaderAndStandby({ both: { LEASE_MS: '3600000' } });
    a.signal('SIGTERM');
    expect(await a.ended).toEqual({ code: 0, signal: null });
    const [stopped, released] = [await a.line('no longer leading'), await a.line('released the lease')];
    const led = await b.line('leading');
    expect(at(stopped)).toBeLessThanOrEqual(at(released));
    expect(at(released)).toBeLessThanOrEqual(at(led));
    await waitForWrites(namespace, 'b', 3);
    expect(await terms(namespace)).toEqual(['a', 'b']);
  });
});

async function kubeconfigThrough(url: string): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'kmm-leader-'));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  const file = join(directory, 'kubeconfig');
  await writeFile(file, (await readFile(kubeconfig, 'utf8')).replaceAll(controlPlane.server, url), { mode: 0o600 });
  return file;
}
