/** The table of a bench: each figure, the limit it has, whether that holds, and what the Go operator needs. */
import type { Bundle } from './bundle.ts';
import type { Measurement } from './measure.ts';
import { table } from './table.ts';

/** A number that a figure must not exceed, for those clusters that it is meant for. */
interface Limit {
  readonly text: string;
  readonly holds: (measurement: Measurement) => boolean | undefined;
}

interface Row {
  readonly figure: string;
  readonly value: (measurement: Measurement) => string;
  readonly limit?: Limit;
  /** Counts are exact, so one over its limit is a defect wherever it is seen; times and memory depend on the machine. */
  readonly exact?: boolean;
  /** What the Go operator needs for the same at 1,000 nodes, and how that compares with ours there. */
  readonly go?: (ours: Measurement) => string;
}

/**
 * Measured on the same simulated 1,000 nodes: v1.1.0 is the Go operator's last release that loads by DaemonSets, with three Modules with
 * device plugins; today's release was given one Module.
 */
const GO = {
  daemonSets: { name: 'v1.1.0', writes: 10_280, writesPerNodeAndModule: 3.4, writesAfterRestart: 2_138, rssMB: 202 },
  today: { name: 'today', writesPerNodeAndModule: 21.9, writesAfterRestart: 1_828, rssMB: 182 },
} as const;

/** Where the limits on times and memory were set. */
const REFERENCE_NODES = 1_000;
const LARGE_NODES = 5_000;

const ROWS: readonly Row[] = [
  {
    figure: 'writes, without Leases',
    value: ({ writesTotal }) => number(writesTotal),
    go: ({ writesTotal }) =>
      `${GO.daemonSets.name} ${number(GO.daemonSets.writes)} (${times(GO.daemonSets.writes, writesTotal)})`,
  },
  {
    figure: 'writes on Nodes per node',
    value: ({ writesPerNode }) => number(writesPerNode),
    exact: true,
    // The load label and the ready label of each Module, and the kernel label.
    limit: {
      text: '2 per Module + 1',
      holds: ({ writesPerNode, modules }) => writesPerNode <= 2 * modules + 1,
    },
  },
  {
    figure: 'writes per node and Module',
    value: (measurement) => number(perNodeAndModule(measurement)),
    go: (ours) =>
      [GO.daemonSets, GO.today]
        .map(
          ({ name, writesPerNodeAndModule: theirs }) => `${name} ${theirs} (${times(theirs, perNodeAndModule(ours))})`,
        )
        .join(', '),
  },
  {
    figure: 'other writes per Module and kernel',
    value: ({ details }) => number(details.fixedWritesPerModuleAndKernel),
    exact: true,
    // Where a bed takes a quarter of an hour to start its pods, status tells of it a hundred times.
    limit: upTo('12', ({ details }) => details.fixedWritesPerModuleAndKernel <= 12),
  },
  {
    figure: 'writes after a restart, without Leases',
    value: ({ writesAfterRestart }) => number(writesAfterRestart),
    exact: true,
    limit: { text: '0', holds: ({ writesAfterRestart }) => writesAfterRestart === 0 },
    go: () =>
      `${GO.daemonSets.name} over ${number(GO.daemonSets.writesAfterRestart)}, ${GO.today.name} ${number(GO.today.writesAfterRestart)}`,
  },
  {
    figure: 'kubectl apply to the last DaemonSet',
    value: ({ applyToLastDaemonSetMs, details }) =>
      `${number(applyToLastDaemonSetMs)} ms (kubectl ${number(details.kubectlMs)})`,
    limit: upTo('1 s', (measurement) => measurement.applyToLastDaemonSetMs < 1_000),
  },
  {
    figure: 'kubectl apply to all loaded and plugins up',
    value: ({ details }) => seconds(details.applyToAllReadyMs),
  },
  {
    figure: 'kernel change to label, median',
    value: ({ kernelChangeToLabelMs, details }) =>
      `${number(kernelChangeToLabelMs)} ms (of ${details.kernelChangeSamplesMs.length})`,
    limit: upTo('250 ms', (measurement) => measurement.kernelChangeToLabelMs < 250),
  },
  {
    figure: 'start to synced',
    value: ({ startToSyncedMs }) => seconds(startToSyncedMs),
    limit: upTo('3 s', (measurement) => measurement.startToSyncedMs <= 3_000),
  },
  {
    figure: 'memory settled',
    value: ({ rssSettledMB }) => `${number(rssSettledMB)} MB`,
    limit: memory((measurement) => measurement.rssSettledMB),
    go: (ours) =>
      [GO.daemonSets, GO.today]
        .map(({ name, rssMB }) => `${name} ${rssMB} MB (${times(rssMB, ours.rssSettledMB)})`)
        .join(', '),
  },
  { figure: 'memory at its highest', value: ({ rssPeakMB }) => `${number(rssPeakMB)} MB` },
  { figure: 'CPU until all is loaded', value: ({ cpuSeconds }) => `${number(cpuSeconds)} s` },
  { figure: 'CPU of a restart', value: ({ details }) => `${number(details.cpuSecondsAfterRestart)} s` },
  {
    figure: 'load of the machine, before and after',
    value: ({ details }) => details.loadAverage.map(number).join(', '),
  },
];

/** A limit that was set for 1,000 nodes; smaller clusters keep it too, for larger ones there is none. */
function upTo(text: string, holds: (measurement: Measurement) => boolean): Limit {
  return { text, holds: (measurement) => (measurement.nodes > REFERENCE_NODES ? undefined : holds(measurement)) };
}

function memory(of: (measurement: Measurement) => number): Limit {
  return {
    text: '120 MB; goal at 5,000 nodes: 150 MB',
    holds: (measurement) => {
      if (measurement.nodes > LARGE_NODES) return undefined;
      return of(measurement) <= (measurement.nodes > REFERENCE_NODES ? 150 : 120);
    },
  };
}

function perNodeAndModule({ writesTotal, nodes, modules }: Measurement): number {
  return writesTotal / nodes / modules;
}

/** The counts that are over their limit, one sentence each. */
export function brokenCounts(measurements: readonly Measurement[]): readonly string[] {
  return measurements.flatMap((measurement) =>
    ROWS.filter(({ exact, limit }) => exact === true && limit?.holds(measurement) === false).map(
      ({ figure, value, limit }) =>
        `At ${number(measurement.nodes)} nodes, ${figure}: ${value(measurement)}, at most ${limit?.text} allowed.`,
    ),
  );
}

/** Markdown tables that also read well in a terminal. */
export function report(measurements: readonly Measurement[], bundle: Bundle): string {
  const reference = measurements.find(({ nodes }) => nodes === REFERENCE_NODES);
  const columns = measurements.map(({ nodes }) => `${number(nodes)} nodes`);
  const figures = ROWS.map(({ figure, value, limit, go }) => [
    figure,
    ...measurements.map((measurement) => value(measurement) + mark(limit?.holds(measurement))),
    limit?.text ?? '',
    reference === undefined ? '' : (go?.(reference) ?? ''),
  ]);
  return [
    table([['figure', ...columns, 'at most', 'the Go operator at 1,000 nodes'], ...figures]),
    'Writes by kind, Leases apart from the totals above:',
    table([['verb and resource', ...columns], ...writesByKind(measurements)]),
    `Bundle: ${number(bundle.kilobytes)} KB of JavaScript, of which \`kmm manager\` loads ${number(bundle.managerKilobytes)} KB. ` +
      `\`kmm version\` answers ${number(bundle.versionMs)} ms after its start.`,
    ...notes(measurements),
  ].join('\n\n');
}

function writesByKind(measurements: readonly Measurement[]): string[][] {
  const kinds = new Set(measurements.flatMap(({ details }) => Object.keys(details.writesByKind)));
  return [...kinds].map((kind) => [
    kind,
    ...measurements.map(({ details }) => number(details.writesByKind[kind] ?? 0)),
  ]);
}

function notes(measurements: readonly Measurement[]): string[] {
  return measurements.some(({ details }) => details.identity === 'kubeconfig')
    ? ['This machine gives no mount namespace, so the operator ran with a kubeconfig and not as in a pod.']
    : [];
}

function mark(holds: boolean | undefined): string {
  return holds === undefined ? '' : holds ? ' ✓' : ' ✗';
}

function times(theirs: number, ours: number): string {
  return ours === 0 ? 'ours: 0' : `${(theirs / ours).toFixed(1)} times ours`;
}

function number(value: number): string {
  return value.toLocaleString('en', { maximumFractionDigits: value < 10 ? 2 : value < 100 ? 1 : 0 });
}

function seconds(ms: number): string {
  return ms < 1_000 ? `${number(ms)} ms` : `${(ms / 1_000).toFixed(1)} s`;
}
