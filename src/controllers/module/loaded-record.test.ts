import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatLoadedRecord, type LoadedRecord, parseLoadedRecord } from './loaded-record.ts';

const part = fc.stringMatching(/^[-A-Za-z0-9:.]*$/);

describe('the annotation of when a module was seen loaded', () => {
  it('is readable', () => {
    const record = { bootID: 'b', instance: 'c', replacingSince: '2026-03-01T12:00:00.000Z' };
    expect(formatLoadedRecord({ bootID: 'b', instance: 'c' })).toBe('boot=b,container=c');
    expect(formatLoadedRecord(record)).toBe('boot=b,container=c,replacing=2026-03-01T12:00:00.000Z');
  });

  it('says after being read what it said when it was written', () => {
    fc.assert(
      fc.property(
        fc.record(
          {
            bootID: part,
            instance: part,
            replacingSince: part,
            reboot: fc.record({ bootID: part, seenAt: part }),
          },
          { requiredKeys: ['bootID', 'instance'] },
        ),
        (record: LoadedRecord) => {
          expect(parseLoadedRecord(formatLoadedRecord(record))).toEqual(record);
        },
      ),
    );
  });

  it.each([undefined, '', 'by hand', 'boot=b', 'container=c', 'boot', 'boot,container=c'])(
    'is as good as none when it is %j, or is read as far as it goes',
    (value) => {
      const record = parseLoadedRecord(value);
      expect(record === undefined || record.bootID === '').toBe(true);
    },
  );

  it('keeps what follows the first equals sign of a part', () => {
    expect(parseLoadedRecord('boot=a=b,container=c')).toEqual({ bootID: 'a=b', instance: 'c' });
  });

  it('does not mind parts that a later version adds', () => {
    expect(parseLoadedRecord('boot=b,container=c,colour=red')).toEqual({ bootID: 'b', instance: 'c' });
  });
});
