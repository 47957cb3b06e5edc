import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { KubeObject } from './objects.ts';
import { WatchDecodeError, WatchDecoder, type WatchEvent } from './watch-decoder.ts';

function decode(chunks: readonly (Uint8Array | string)[]): readonly WatchEvent<KubeObject>[] {
  const decoder = new WatchDecoder<KubeObject>();
  const events = chunks.flatMap((chunk) => [...decoder.push(chunk)]);
  decoder.end();
  return events;
}

function added(name: string): WatchEvent<KubeObject> {
  return { type: 'ADDED', object: { metadata: { name } } };
}

function line(event: unknown): string {
  return `${JSON.stringify(event)}\n`;
}

describe('a watch decoder', () => {
  test('cuts lines wherever the chunks end, within a character too', () => {
    const event = fc.string({ unit: 'grapheme' }).map(added);
    fc.assert(
      fc.property(fc.array(event, { minLength: 1 }), fc.array(fc.nat(), { maxLength: 20 }), (events, cuts) => {
        const bytes = Buffer.from(events.map(line).join(''));
        const at = [0, ...cuts.map((cut) => cut % bytes.length).sort((a, b) => a - b), bytes.length];
        const chunks = at.slice(1).map((end, index) => bytes.subarray(at[index], end));
        expect(decode(chunks)).toEqual(events);
      }),
    );
  });

  test('takes strings as well as bytes', () => {
    expect(decode([line(added('é')).slice(0, 20), line(added('é')).slice(20)])).toEqual([added('é')]);
  });

  test('takes a byte order mark off the start only, and no notice of empty lines and carriage returns', () => {
    expect(decode([`\uFEFF${line(added('a'))}`, '\n\r\n', line(added('b')).replace('\n', '\r\n')])).toEqual([
      added('a'),
      added('b'),
    ]);
    expect(() => decode([line(added('a')), `\uFEFF${line(added('b'))}`])).toThrow(WatchDecodeError);
  });

  test('a body that ends within a line is an error, and one that ends after a line is not', () => {
    expect(() => decode([line(added('a')), '{"type":"ADD'])).toThrow('ended within an event, after 12 bytes');
    expect(decode([line(added('a'))])).toHaveLength(1);
  });

  test.each([
    ['not JSON', '<html>502 Bad Gateway</html>\n', 'is not JSON: <html>502'],
    ['no object', '{"type":"ADDED"}\n', 'is not an event'],
    ['an object without metadata', line({ type: 'MODIFIED', object: { kind: 'Node' } }), 'is not an event'],
    ['an unknown type', line({ type: 'RENAMED', object: { metadata: {} } }), 'is not an event'],
    ['no record at all', 'null\n', 'is not an event'],
  ])('%s is an error that shows the beginning of the line', (_, text, message) => {
    expect(() => decode([text])).toThrow(message);
  });

  test('an error shows 80 characters at most of an object', () => {
    const secret = line({ type: 'RENAMED', object: { metadata: { name: 'x'.repeat(100) }, data: 'hidden' } });
    expect(() => decode([secret])).toThrow(expect.objectContaining({ message: expect.not.stringContaining('hidden') }));
  });

  test('a line without end is given up at the bound, however small its chunks are', () => {
    const decoder = new WatchDecoder<KubeObject>(100);
    const push = (): void => {
      for (let chunk = 0; chunk < 12; chunk++) expect([...decoder.push('x'.repeat(10))]).toEqual([]);
    };
    expect(push).toThrow('longer than 100 bytes');
  });

  test('an ERROR event needs no metadata', () => {
    const gone = { type: 'ERROR', object: { kind: 'Status', code: 410, reason: 'Expired', message: 'too old' } };
    expect(decode([line(gone)])).toEqual([gone]);
  });
});
