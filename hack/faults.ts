/**
 * `make faults`: the tests that take long, with fresh random histories. Prints what it was begun with, so that a failure can be played again:
 * `make faults FAULTS_SEED=... MINUTES=... ARGS=test/faults/long/soak`.
 */
import { randomInt } from 'node:crypto';
import { interruption, runInterruptible } from './interruption.ts';

const settings = {
  FAULTS_SEED: process.env['FAULTS_SEED'] ?? String(randomInt(2 ** 31)),
  MINUTES: process.env['MINUTES'] ?? '30',
  MODEL_RUNS: process.env['MODEL_RUNS'] ?? '100000',
  HISTORIES: process.env['HISTORIES'] ?? '500',
  FLOOD_MODULES: process.env['FLOOD_MODULES'] ?? '1000',
};
const selection = process.argv.slice(2);
const interrupted = interruption();

console.log(
  Object.entries(settings)
    .map(([name, value]) => `${name}=${value}`)
    .join(' '),
);
const env = { ...process.env, ...settings, MODEL_SEED: settings.FAULTS_SEED, FAULTS: 'long' };
const model = selection.length === 0 ? await vitest(['--project', 'unit', 'test/model']) : 0;
const faults = interrupted.aborted ? 130 : await vitest(['--project', 'faults', ...selection]);
process.exitCode = model === 0 && faults === 0 ? 0 : 1;

function vitest(args: readonly string[]): Promise<number> {
  return runInterruptible(['vitest', 'run', ...args], { interrupted, env, stdio: 'inherit' });
}
