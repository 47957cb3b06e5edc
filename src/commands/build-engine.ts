import { setTimeout as delay } from 'node:timers/promises';
import { BUILD_CONFIGS } from '../build/engines/openshift-objects.ts';
import type { KubeClient } from '../kube/client.ts';
import type { Logger } from '../runtime/logger.ts';

export const BUILD_ENGINE_CHOICES = ['auto', 'pod', 'openshift'] as const;
export type BuildEngineChoice = (typeof BUILD_ENGINE_CHOICES)[number];

const RETRY_MS = 2_000;
/**
 * A question that is lost with its connection is asked again soon, as nothing else begins before the answer; but a server that takes this long
 * for each answer is given more and more time, or none would ever come.
 */
const FIRST_TIMEOUT_MS = 5_000;
/** After which the client itself gives up an answer. */
const LAST_TIMEOUT_MS = 30_000;

interface ChoosingOptions {
  readonly log: Logger;
  readonly signal: AbortSignal;
  readonly retryMs?: number;
  readonly firstTimeoutMs?: number;
}

/**
 * The engine that was asked for, or for `auto` the one that the API server serves. It waits until the server answers: to guess would build
 * everything in another way after a restart in a bad moment.
 *
 * @throws the signal's reason when it aborts first
 */
export async function chooseBuildEngine(
  choice: BuildEngineChoice,
  client: Pick<KubeClient, 'apiGroups'>,
  { log, signal, retryMs = RETRY_MS, firstTimeoutMs = FIRST_TIMEOUT_MS }: ChoosingOptions,
): Promise<'pod' | 'openshift'> {
  if (choice !== 'auto') {
    log.info({ engine: choice, because: '--build-engine says so' }, 'build engine chosen');
    return choice;
  }
  const { group, version } = BUILD_CONFIGS;
  for (let timeoutMs = firstTimeoutMs; ; timeoutMs = Math.min(2 * timeoutMs, LAST_TIMEOUT_MS)) {
    const timeout = AbortSignal.timeout(timeoutMs);
    try {
      const groups = await client.apiGroups({ signal: AbortSignal.any([signal, timeout]) });
      const isServed = groups.some(
        ({ name, versions }) => name === group && versions.some((each) => each.version === version),
      );
      const engine = isServed ? 'openshift' : 'pod';
      const because = `the API server serves ${isServed ? '' : 'no '}${group}/${version}`;
      log.info({ engine, because }, 'build engine chosen');
      return engine;
    } catch (error) {
      signal.throwIfAborted();
      log.warn(
        // Read here, or the timeout would be nobody's but AbortSignal.any's: such a one is collected as garbage, and never aborts.
        { err: error, timedOut: timeout.aborted, retryInMs: retryMs },
        'the API server does not tell what it serves, so no build engine can be chosen yet',
      );
      await delay(retryMs, undefined, { signal });
    }
  }
}
