/**
 * `make e2e`: makes what the bed is made of, then runs the scenarios in a network namespace of their own. The last line is
 * `N passed, N failed`.
 *
 * Arguments select scenarios by a part of their file's path; without any, those that build no image run, and with `--all` all of them, on the
 * newest software. NODES=newest has the others there too, NODES=debian those.
 * `--bed DIRECTORY` before them runs them on a bed that KEEP=1 left up, and `--end DIRECTORY` ends such a bed.
 * KUBECONFIG and REGISTRY together lead to a cluster of somebody else's, where the operator is installed and nodes pull from that registry.
 */
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { Progress } from '../../hack/control-plane/progress.ts';
import { E2E_PACKAGES, ensureDebianPackages } from '../../hack/debian-packages.ts';
import { interruption, runInterruptible } from '../../hack/interruption.ts';
import { countVitest, formatTally, NOTHING, type Tally, type VitestReport } from '../../hack/tally.ts';
import { attachControlPlane } from '../harness/control-plane.ts';
import { processesUnder } from '../harness/processes.ts';
import type { Making } from './bed/cache.ts';
import { bedMaterial } from './bed/material.ts';
import { environmentWithoutProxies, IN_NEW_NETWORK } from './bed/namespace.ts';
import { SOFTWARE, type Software } from './bed/software.ts';
import { foreignMaterial } from './foreign/material.ts';
import type { RunMaterial } from './global-setup.ts';

const FOLDER = join('out', 'e2e');
const REPORT = join(FOLDER, 'vitest.json');
const MATERIAL = join(FOLDER, 'material.json');
const SCENARIOS = join(import.meta.dirname, 'scenarios');
/** Scenarios that take nothing of their cluster but its API and its nodes' kernels. */
const ANYWHERE = ['/01-', '/05-', '/06-', '/07-', '/08-'];

const interrupted = interruption();

const [first = '', directory, ...others] = process.argv.slice(2);
if (first === '--end' || first === '--bed') {
  if (directory === undefined) throw new Error(`usage: node test/e2e/e2e.ts ${first} DIRECTORY`);
  if (first === '--end') await (await attachControlPlane(directory)).stop();
  else await conclude(await inBed(await joinBed(directory), { KMM_E2E_BED: directory }, selected(others)));
} else {
  await main(process.argv.slice(2));
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

async function main(words: readonly string[]): Promise<void> {
  const progress = new Progress();
  const { KUBECONFIG = '', REGISTRY = '' } = process.env;
  const selection = REGISTRY !== '' && words.length === 0 ? ANYWHERE : selected(words);
  try {
    if (REGISTRY !== '' && words[0] === '--all') {
      throw new Error('make e2e-all needs machines of ours: on a cluster of your own run make e2e.');
    }
    if (REGISTRY !== '' && KUBECONFIG === '') {
      throw new Error('REGISTRY is for a cluster of your own: say with KUBECONFIG which one.');
    }
    if (KUBECONFIG !== '' && REGISTRY === '') {
      console.log('KUBECONFIG is not looked at: scenarios run there only with REGISTRY, which nodes pull from.');
    }
    await prepare(
      async (making) =>
        REGISTRY === ''
          ? { bed: await bedMaterial(await selectsBuilds(selection), softwareFor(words[0] ?? ''), making) }
          : { foreign: await foreignMaterial(REGISTRY, making) },
      { progress, signal: interrupted },
    );
  } catch (error) {
    progress.abandon();
    const said = error instanceof Error ? error.message : String(error);
    console.error(interrupted.aborted ? 'Interrupted; the next run goes on where this one ended.' : said);
    return report({ ...NOTHING, failed: 1 });
  }
  const material = { KMM_E2E_MATERIAL: MATERIAL };
  await conclude(
    REGISTRY === ''
      ? await inBed(IN_NEW_NETWORK, material, selection)
      : await runScenarios([], { ...process.env, ...material }, selection),
  );
}

/** @param network words that run what follows them in the bed's network */
function inBed(network: readonly string[], more: NodeJS.ProcessEnv, selection: readonly string[]): Promise<number> {
  return runScenarios(network, { ...environmentWithoutProxies(), ...more }, selection);
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

async function prepare(make: (making: Making) => Promise<RunMaterial>, making: Making): Promise<void> {
  if (process.getuid?.() !== 0) {
    throw new Error('make e2e needs root: it makes images and disks with files of root, and a network namespace.');
  }
  await rm(FOLDER, { recursive: true, force: true });
  await mkdir(FOLDER, { recursive: true });
  await ensureDebianPackages(making.progress, making.signal, E2E_PACKAGES);
  making.progress.done();
  await writeFile(MATERIAL, JSON.stringify(await make(making)));
}

async function selectsBuilds(selection: readonly string[]): Promise<boolean> {
  const files = (await readdir(join(SCENARIOS, 'building'))).map((name) => join(SCENARIOS, 'building', name));
  return files.some((file) => selection.some((part) => file.includes(part)));
}

/** Its end, however it comes, takes along a bed that vitest started. */
async function runScenarios(
  before: readonly string[],
  env: NodeJS.ProcessEnv,
  selection: readonly string[],
): Promise<number> {
  // A report of an earlier run must never be counted for this one.
  await rm(REPORT, { force: true });
  const reporters = ['--reporter=verbose', '--reporter=json', `--outputFile.json=${REPORT}`];
  const vitest = ['vitest', 'run', '--config', 'test/e2e/vitest.config.ts', ...reporters, ...selection] as const;
  const [program, ...words] = before;
  return runInterruptible(program === undefined ? vitest : [program, ...words, ...vitest], {
    interrupted,
    env,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
}
