import type { StoredVersion } from './secret-scan.ts';

/** What the gRPC gateway of etcd says of a watch; bytes are base64. Source: etcd/api/v3/etcdserverpb/rpc.proto, WatchResponse. */
interface WatchLine {
  readonly result?: {
    readonly compact_revision?: string;
    readonly events?: readonly { readonly kv: { readonly key: string; readonly value?: string } }[];
  };
}

const base64 = (text: string): string => Buffer.from(text).toString('base64');
const SENTINEL = '/kmm-end-of-history';

/**
 * Every version of every key that etcd still has, those of deleted objects too: all since its last compaction, which the API server makes every
 * 5 minutes.
 *
 * @throws Error when etcd does not answer
 */
export async function* etcdHistory(endpoint: string): AsyncGenerator<StoredVersion> {
  // What comes before this was there when we were called.
  const put = await fetch(`${endpoint}/v3/kv/put`, {
    method: 'POST',
    body: JSON.stringify({ key: base64(SENTINEL), value: '' }),
  });
  if (!put.ok) throw new Error(`etcd refused a write: ${put.status}`);
  await put.arrayBuffer();
  let from: string | undefined = '1';
  while (from !== undefined) from = yield* watchFrom(endpoint, from);
}

/** @returns the first revision that is left, where `revision` is too old */
async function* watchFrom(endpoint: string, revision: string): AsyncGenerator<StoredVersion, string | undefined> {
  const all = base64('\0');
  const stop = new AbortController();
  const answer = await fetch(`${endpoint}/v3/watch`, {
    method: 'POST',
    body: JSON.stringify({ create_request: { key: all, range_end: all, start_revision: revision } }),
    signal: stop.signal,
  });
  if (answer.body === null) throw new Error(`etcd refused a watch: ${answer.status}`);
  try {
    for await (const line of linesOf(answer.body)) {
      const { result }: WatchLine = JSON.parse(line);
      if (result?.compact_revision !== undefined) return result.compact_revision;
      for (const { kv } of result?.events ?? []) {
        const key = Buffer.from(kv.key, 'base64').toString();
        if (key === SENTINEL) return undefined;
        if (kv.value !== undefined) yield { key, value: Buffer.from(kv.value, 'base64') };
      }
    }
    throw new Error('etcd ended a watch before its end');
  } finally {
    stop.abort();
  }
}

async function* linesOf(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of body) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    yield* lines;
  }
}
