import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { aReport } from '../../../test/harness/builds.ts';
import { decodeReport, encodeReport, LONGEST_REPORT, type Report } from './report.ts';

const texts = fc.string({ unit: 'binary', maxLength: 6_000 });
const reports = fc.oneof(
  fc.record({
    result: fc.constant('failed' as const),
    step: fc.constant('build' as const),
    cause: fc.constant('user' as const),
    message: texts,
    log: texts,
    durations: fc.constant({ build: 12 }),
  }),
  fc
    .array(fc.record({ path: fc.string({ maxLength: 200 }), vermagic: fc.string({ maxLength: 200 }) }), {
      maxLength: 60,
    })
    .map((files): Report => aReport({ files, filesNumber: files.length })),
);

describe('a report', () => {
  it('whatever a build has to tell, fits into what the kubelet keeps, and can be read back', () => {
    fc.assert(
      fc.property(reports, (report) => {
        const json = encodeReport(report);
        expect(Buffer.byteLength(json)).toBeLessThanOrEqual(LONGEST_REPORT);
        expect(decodeReport(json)).toMatchObject({ result: report.result });
      }),
    );
  });

  it('gives up the front of the log before a word of the sentence', () => {
    const log = `${'x'.repeat(5_000)}THE END`;
    const report = decodeReport(
      encodeReport({ result: 'failed', step: 'build', cause: 'user', message: 'make failed', log, durations: {} }),
    );
    expect(report).toMatchObject({ message: 'make failed', log: expect.stringMatching(/THE END$/) });
  });

  it('gives up files, not how many there are', () => {
    const files = Array.from({ length: 100 }, (_, index) => ({
      path: `/opt/lib/modules/${index}.ko`,
      vermagic: 'v'.repeat(60),
    }));
    const report = decodeReport(encodeReport(aReport({ files, filesNumber: 100 })));
    expect(report).toMatchObject({ image: aReport().image, filesNumber: 100 });
  });

  it.each([
    '',
    'Killed',
    '{}',
    '{"result":"built","durations":{}}',
    '{"result":"failed","step":"x","durations":{}}',
    'null',
  ])('is not what a container left that said %j', (text) => {
    expect(decodeReport(text)).toBeUndefined();
  });
});
