/** Which writes an operator made twice. */
import type { Write } from './fault-proxy.ts';

/**
 * A write is repeated when the write before it to the same object was by the same method and of the same content: what it asks for was asked
 * for already, and nothing else was meanwhile. Of the content, times do not count, nor does what only says which version of the object is
 * meant (`uid`, `resourceVersion`). The object of a creation is the one that it names.
 */
export function repeatedWrites(writes: readonly Write[]): readonly string[] {
  const last = new Map<string, string>();
  return writes.flatMap(({ method, path, body }) => {
    const object = method === 'POST' ? `${path}/${nameIn(body)}` : path;
    const content = `${method} ${timeless(body)}`;
    const isRepeated = last.get(object) === content;
    last.set(object, content);
    return isRepeated ? [`${object}: ${content}`] : [];
  });
}

function nameIn(body: string): string {
  return /"name":"([^"]*)"/.exec(body)?.[1] ?? '';
}

/** A text without what differs between two runs of the same thing. */
export function timeless(text: string): string {
  return text
    .replace(/"(?:uid|resourceVersion)":"[^"]*",?/g, '')
    .replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z/g, '<time>');
}
