import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { captureLog } from '../../test/harness/captured-log.ts';
import type { ApiGroup } from '../kube/client.ts';
import { chooseBuildEngine } from './build-engine.ts';

const APPS: ApiGroup = { name: 'apps', versions: [{ version: 'v1' }] };
const BUILDS: ApiGroup = { name: 'build.openshift.io', versions: [{ version: 'v1' }] };
const OLD: ApiGroup = { name: 'build.openshift.io', versions: [{ version: 'v0' }] };
const signal = new AbortController().signal;

describe('the build engine', () => {
  it.each([
    ['auto', [APPS], 'pod'],
    ['auto', [APPS, BUILDS], 'openshift'],
    ['auto', [OLD], 'pod'],
    ['pod', [BUILDS], 'pod'],
    ['openshift', [APPS], 'openshift'],
  ] as const)('for %s where the server has %j is %s', async (choice, groups, engine) => {
    const { log } = captureLog();
    expect(await chooseBuildEngine(choice, { apiGroups: async () => groups }, { log, signal })).toBe(engine);
  });

  it('is not guessed while the API server does not answer', async () => {
    let asked = 0;
    const client = {
      apiGroups: async () => {
        if (++asked < 3) throw new Error('connection refused');
        return [BUILDS];
      },
    };
    const { log } = captureLog();
    expect(await chooseBuildEngine('auto', client, { log, signal, retryMs: 1 })).toBe('openshift');
  });

  // An API server that took 5 s for each request was given up after 5 s, for ever, and no module was loaded: make faults.
  it('is chosen where the API server is slower than the first question waits', async () => {
    const client = {
      apiGroups: async ({ signal: each }: { readonly signal?: AbortSignal } = {}) => {
        await delay(50, undefined, each === undefined ? {} : { signal: each });
        return [BUILDS];
      },
    };
    const { log } = captureLog();
    expect(await chooseBuildEngine('auto', client, { log, signal, retryMs: 1, firstTimeoutMs: 2 })).toBe('openshift');
  });

  it('is not waited for any more when the process is told to end', async () => {
    const stop = new AbortController();
    const client = {
      apiGroups: async () => {
        stop.abort(new Error('the end'));
        throw new Error('connection refused');
      },
    };
    const { log } = captureLog();
    await expect(chooseBuildEngine('auto', client, { log, signal: stop.signal })).rejects.toThrow('the end');
  });
});
