/** The table of the bench of builds. */
import { STEPS } from '../../src/build/pipeline/failure.ts';
import type { BuildMeasurement } from './builds.ts';
import { table } from './table.ts';

/** What the second kernel of a distribution may take of the time of the first. */
const MOST_OF_FIRST = 0.25;

export function buildsReport(measurements: readonly BuildMeasurement[]): string {
  const [first] = measurements;
  const rows = measurements.map(({ name, ms, cpuMs, durations }, index) => [
    name,
    seconds(ms),
    index === 0 ? '' : ratio(ms, first?.ms ?? 0) + (index === 1 ? mark(ms / (first?.ms ?? 0)) : ''),
    seconds(cpuMs),
    index === 0 ? '' : ratio(cpuMs, first?.cpuMs ?? 0),
    ...STEPS.map((step) => (durations[step] === undefined ? '' : seconds(durations[step]))),
  ]);
  return [
    table([['build', 'in all', 'of the first', 'CPU', 'of the first', ...STEPS], ...rows]),
    `The second kernel is meant to take at most ${MOST_OF_FIRST * 100} % of the first.`,
  ].join('\n\n');
}

function ratio(part: number, whole: number): string {
  return `${Math.round((part / whole) * 100)} %`;
}

function mark(share: number): string {
  return share <= MOST_OF_FIRST ? ' ✓' : ' ✗';
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}
