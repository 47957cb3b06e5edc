/**
 * `make bench`: what the operator writes, how fast it is and what it takes, on simulated nodes. Prints a table, writes out/bench.json,
 * and fails when a count is over its limit; times are told, never judged, because they depend on the machine.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';

import { Progress } from '../../hack/control-plane/progress.ts';
import { buildBundle } from './bundle.ts';
import { type Measurement, measure } from './measure.ts';
import { readOptions } from './options.ts';
import { brokenCounts, report } from './report.ts';

const OUTPUT = 'out/bench.json';

async function bench(signal: AbortSignal): Promise<void> {
  const { nodes, nodeOptions } = readOptions(process.argv.slice(2));
  const progress = new Progress();
  const measurements: Measurement[] = [];
  try {
    progress.start('building the bundle');
    const bundle = await buildBundle(signal);
    for (const count of nodes) {
      const say = (step: string): void => progress.start(step);
      measurements.push(await measure({ nodes: count, bundle: bundle.directory, nodeOptions, say, signal }));
    }
    progress.done();
    await mkdir('out', { recursive: true });
    await writeFile(OUTPUT, `${JSON.stringify(measurements, null, 2)}\n`);
    const cores = `${availableParallelism()} cores, Node ${process.versions.node}${nodeOptions.map((option) => ` ${option}`).join('')}`;
    console.log(
      `\n${report(measurements, bundle)}\n\nOn ${cores}, ${new Date().toISOString().slice(0, 10)}. Figures: ${OUTPUT}`,
    );
    for (const sentence of brokenCounts(measurements)) {
      console.error(sentence);
      process.exitCode = 1;
    }
  } finally {
    progress.done();
  }
}

const interrupted = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => interrupted.abort(name));

try {
  await bench(interrupted.signal);
} catch (error) {
  if (!interrupted.signal.aborted) throw error;
  console.error('interrupted; everything that was started has been ended');
  // What still waited for something of the cluster would wait for nothing.
  process.exit(130);
}
