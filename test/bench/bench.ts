/**
 * `make bench`: what the operator writes, how fast it is and what it takes, on simulated nodes. Prints a table, writes out/bench.json,
 * and fails when a count is over its limit; times are told, never judged, because they depend on the machine. Then how long builds take
 * (out/bench-builds.json).
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';

import { Progress } from '../../hack/control-plane/progress.ts';
import { interruption } from '../../hack/interruption.ts';
import { measureBuilds } from './builds.ts';
import { buildsReport } from './builds-report.ts';
import { buildBundle } from './bundle.ts';
import { type Measurement, measure } from './measure.ts';
import { readOptions } from './options.ts';
import { brokenCounts, report } from './report.ts';

const OUTPUT = 'out/bench.json';
const BUILDS_OUTPUT = 'out/bench-builds.json';

async function bench(signal: AbortSignal): Promise<void> {
  const { nodes, nodeOptions, builds } = readOptions(process.argv.slice(2));
  await mkdir('out', { recursive: true });
  const progress = new Progress();
  const say = (step: string): void => progress.start(step);
  const cores = `${availableParallelism()} cores, Node ${process.versions.node}`;
  const today = new Date().toISOString().slice(0, 10);
  try {
    if (nodes.length > 0) {
      say('building the bundle');
      const bundle = await buildBundle(signal);
      const measurements: Measurement[] = [];
      for (const count of nodes) {
        measurements.push(await measure({ nodes: count, bundle: bundle.directory, nodeOptions, say, signal }));
      }
      progress.done();
      await writeFile(OUTPUT, `${JSON.stringify(measurements, null, 2)}\n`);
      const options = nodeOptions.map((option) => ` ${option}`).join('');
      console.log(`\n${report(measurements, bundle)}\n\nOn ${cores}${options}, ${today}. Figures: ${OUTPUT}`);
      for (const sentence of brokenCounts(measurements)) {
        console.error(sentence);
        process.exitCode = 1;
      }
    }
    if (builds) {
      const measurements = await measureBuilds({ say, signal });
      progress.done();
      await writeFile(BUILDS_OUTPUT, `${JSON.stringify(measurements, null, 2)}\n`);
      console.log(`\n${buildsReport(measurements)}\n\nOn ${cores}, ${today}. Figures: ${BUILDS_OUTPUT}`);
    }
  } finally {
    progress.done();
  }
}

const interrupted = interruption();

try {
  await bench(interrupted);
} catch (error) {
  if (!interrupted.aborted) throw error;
  console.error('interrupted; everything that was started has been ended');
  // What still waited for something of the cluster would wait for nothing.
  process.exit(130);
}
