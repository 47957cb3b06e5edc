/** Aborts when this program is told to end, by Ctrl-C or by whoever started it: what it has started ends then too. A second time ends it at once. */
export function interruption(): AbortSignal {
  const interrupted = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => interrupted.abort());
  return interrupted.signal;
}
