/**
 * `make e2e`: makes what the bed is made of, then runs the scenarios in a network namespace of their own. The last line is
 * `N passed, N failed`.
 *
 * Arguments select scenarios by a part of their file's path; without any, those that build no image run, and with `--all` all of them, on the
 * newest software. NODES=newest has the others there too, NODES=debian those.
 * `--bed DIRECTORY` before them runs them on a bed that KEEP=1 left up, and `--end DIRECTORY` ends such a bed.
 */
import { spawn } from 'node:child_process';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { Progress } from '../../hack/control-plane/progress.ts';
import { E2E_PACKAGES, ensureDebianPackages } from '../../hack/debian-packages.ts';
import { countVitest, formatTally, NOTHING, type Tally, type VitestReport } from '../../hack/tally.ts';
import { attachControlPlane } from '../harness/control-plane.ts';
import { processesUnder } from '../harness/processes.ts';
import { bedMaterial } from './bed/material.ts';
import { environmentWithoutProxies, IN_NEW_NETWORK } from './bed/namespace.ts';
import { SOFTWARE, type Software } from './bed/software.ts';

const FOLDER = join('out', 'e2e');
const REPORT = join(FOLDER, 'vitest.json');
const MATERIAL = join(FOLDER, 'material.json');
const SCENARIOS = join(import.meta.dirname, 'scenarios');

const interrupted = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => interrupted.abort());

const [first = '', directory, ...others] = process.argv.slice(2);
if (first === '--end' || first === '--bed') {
  if (directory === undefined) throw new Error(`usage: node test/e2e/e2e.ts ${first} DIRECTORY`);
  if (first === '--end') await (await attachControlPlane(directory)).stop();
  else await conclude(await runScenarios(await joinBed(directory), { KMM_E2E_BED: directory }, selected(others)));
} else {
  await main(selected(process.argv.slice(2)), softwareFor(first));
}

/** Parts of paths, as vitest takes them. Scenarios that build lie in a folder of their own, because what they need takes minutes to make. */
function selected(words: readonly string[]): readonly string[] {
  if (words.length === 0) return [join('scenarios', '0')];
  return words[0] === '--all' ? ['scenarios'] : words;
}

function softwareFor(word: string): Software {
  const wanted = process.env['NODES'] ?? '';
  if (wanted === '') return word === '--all' ? 'newest' : 'debian';
  const software = SOFTWARE.find((name) => name === wanted);
  if (software === undefined) throw new Error(`NODES is ${wanted}: write one of ${SOFTWARE.join(', ')}`);
  return software;
}

async function main(selection: readonly string[], software: Software): Promise<void> {
  const progress = new Progress();
  try {
    await prepare(selection, software, progress, interrupted.signal);
  } catch (error) {
    progress.abandon();
    const said = error instanceof Error ? error.message : String(error);
    console.error(interrupted.signal.aborted ? 'Interrupted; the next run goes on where this one ended.' : said);
    return report({ ...NOTHING, failed: 1 });
  }
  await conclude(await runScenarios(IN_NEW_NETWORK, { KMM_E2E_MATERIAL: MATERIAL }, selection));
}

async function conclude(code: number): Promise<void> {
  try {
    const found: VitestReport = JSON.parse(await readFile(REPORT, 'utf8'));
    report(countVitest(found, code));
  } catch {
    console.log(`FAILED  vitest ended with ${code} and left no report`);
    report({ ...NOTHING, failed: 1 });
  }
}

function report(tally: Tally): void {
  console.log(formatTally(tally));
  process.exitCode = tally.failed === 0 && tally.passed > 0 ? 0 : 1;
}

/** Words that run what follows them in the network of a bed. */
async function joinBed(directory: string): Promise<readonly string[]> {
  await mkdir(FOLDER, { recursive: true });
  const [pid] = await processesUnder(directory);
  if (pid === undefined) throw new Error(`nothing of a bed runs from ${directory}`);
  return ['nsenter', `--net=/proc/${pid}/ns/net`, '--'];
}

async function prepare(
  selection: readonly string[],
  software: Software,
  progress: Progress,
  signal: AbortSignal,
): Promise<void> {
  if (process.getuid?.() !== 0) {
    throw new Error('make e2e needs root: it makes a network namespace and a disk with files of root.');
  }
  await rm(FOLDER, { recursive: true, force: true });
  await mkdir(FOLDER, { recursive: true });
  await ensureDebianPackages(progress, signal, E2E_PACKAGES);
  progress.done();
  const material = await bedMaterial(await selectsBuilds(selection), software, { progress, signal });
  await writeFile(MATERIAL, JSON.stringify(material));
}

async function selectsBuilds(selection: readonly string[]): Promise<boolean> {
  const files = (await readdir(join(SCENARIOS, 'building'))).map((name) => join(SCENARIOS, 'building', name));
  return files.some((file) => selection.some((part) => file.includes(part)));
}

/** Ctrl-C reaches vitest as it reaches us; its end, however it comes, takes along a bed that it started. */
async function runScenarios(
  [program = '', ...words]: readonly string[],
  more: NodeJS.ProcessEnv,
  selection: readonly string[],
): Promise<number> {
  // A report of an earlier run must never be counted for this one.
  await rm(REPORT, { force: true });
  const reporters = ['--reporter=verbose', '--reporter=json', `--outputFile.json=${REPORT}`];
  const vitest = ['vitest', 'run', '--config', 'test/e2e/vitest.config.ts', ...reporters, ...selection];
  return new Promise((resolve, reject) => {
    const child = spawn(program, [...words, ...vitest], {
      stdio: ['ignore', 'inherit', 'inherit'],
      env: { ...environmentWithoutProxies(), ...more },
    });
    child.once('error', (cause) => reject(new Error(`cannot run ${program}: ${cause.message}`, { cause })));
    child.once('close', (code) => resolve(code ?? 1));
  });
}
