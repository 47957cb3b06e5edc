import { pause } from '../../src/kube/abort.ts';
import { ConnectionError } from '../../src/kube/errors.ts';
import type { KubeList, KubeObject } from '../../src/kube/objects.ts';
import type { ListWatchClient } from '../../src/kube/watcher.ts';

/** How a scripted watch ends, once it has sent its lines. `hangs` sends nothing more and never ends. */
type End = 'in order' | 'by a reset' | 'hangs';

export type Answer =
  /** A number is a pause, in milliseconds; a string is sent as it is, an object as a line. */
  | { readonly lines: readonly (string | number | object)[]; readonly end: End }
  | { readonly page: readonly KubeObject[]; readonly resourceVersion: string; readonly next?: string }
  | { readonly error: Error }
  /** There is never an answer. */
  | 'silence';

/** Answers requests in the order of a script, for tests of what the machine around it makes of each; the last one then hangs. */
export class ScriptedServer implements ListWatchClient {
  /** What was asked: `stream`, `watch 10`, `list`, `list p2`. */
  readonly requests: string[] = [];
  /** Watches that were begun and not yet closed by the client. */
  open = 0;
  readonly #script: Answer[];

  constructor(...script: readonly Answer[]) {
    this.#script = [...script];
  }

  list: ListWatchClient['list'] = async <T extends KubeObject>(
    _resource: unknown,
    request: { readonly continue?: string; readonly signal: AbortSignal },
  ) => {
    this.requests.push(request.continue === undefined ? 'list' : `list ${request.continue}`);
    const answer = await this.#next(request.signal);
    if (!('page' in answer)) throw new Error('the script has no page here');
    const list: KubeList<T> = JSON.parse(
      JSON.stringify({
        metadata: { resourceVersion: answer.resourceVersion, continue: answer.next ?? '' },
        items: answer.page,
      }),
    );
    return list;
  };

  watch: ListWatchClient['watch'] = async (_resource, { sendInitialEvents, resourceVersion, signal }) => {
    this.requests.push(sendInitialEvents === true ? 'stream' : `watch ${resourceVersion}`);
    const answer = await this.#next(signal);
    if (!('lines' in answer)) throw new Error('the script has no watch here');
    this.open++;
    let destroyed = false;
    return {
      [Symbol.asyncIterator]: () => chunksOf(answer, signal),
      destroy: () => {
        if (!destroyed) this.open--;
        destroyed = true;
      },
    };
  };

  async #next(signal: AbortSignal): Promise<Exclude<Answer, 'silence' | { error: Error }>> {
    const answer = this.#script.shift() ?? 'silence';
    if (answer === 'silence') return forever(signal);
    if ('error' in answer) throw answer.error;
    return answer;
  }
}

async function* chunksOf(
  { lines, end }: Extract<Answer, { lines: unknown }>,
  signal: AbortSignal,
): AsyncGenerator<string, void> {
  for (const line of lines) {
    if (typeof line === 'number') await pause(line, signal);
    else yield typeof line === 'string' ? line : `${JSON.stringify(line)}\n`;
  }
  if (end === 'by a reset') throw new ConnectionError('the connection was reset', 'ECONNRESET');
  if (end === 'hangs') await forever(signal);
}

function forever(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    const abort = (): void => reject(signal.reason instanceof Error ? signal.reason : new Error('aborted'));
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
  });
}

export function anObject(name: string, resourceVersion: number, uid = `uid-of-${name}`): KubeObject {
  return { metadata: { name, uid, resourceVersion: String(resourceVersion) } };
}

export function added(name: string, resourceVersion: number, uid?: string): object {
  return { type: 'ADDED', object: anObject(name, resourceVersion, uid) };
}

export function modified(name: string, resourceVersion: number): object {
  return { type: 'MODIFIED', object: anObject(name, resourceVersion) };
}

export function deleted(name: string, resourceVersion: number): object {
  return { type: 'DELETED', object: anObject(name, resourceVersion) };
}

export function bookmark(resourceVersion: number): object {
  return { type: 'BOOKMARK', object: { metadata: { resourceVersion: String(resourceVersion) } } };
}

/** The bookmark that ends a streamed list. */
export function initialEventsEnd(resourceVersion: number): object {
  const annotations = { 'k8s.io/initial-events-end': 'true' };
  return { type: 'BOOKMARK', object: { metadata: { resourceVersion: String(resourceVersion), annotations } } };
}

export function errorEvent(code: number, reason: string): object {
  return { type: 'ERROR', object: { kind: 'Status', code, reason, message: `${reason} it is` } };
}
