/**
 * `make test` and `make lint`: every check of this repository, one after the other, also when one fails. The last line
 * is `N passed, N failed`: each static check counts as one, each vitest test as one.
 */
import { mkdir, readFile, rm } from 'node:fs/promises';

import { REQUESTS_FILE } from '../test/harness/product-requests.ts';
import { complaints, readRecords, SCAN_FOLDER } from '../test/harness/secret-scan.ts';
import { interruption, runInterruptible } from './interruption.ts';
import { checkPrivileges } from './privileges.ts';
import { countVitest, formatTally, NOTHING, sum, type Tally, type VitestReport } from './tally.ts';

const REPORT = 'out/vitest.json';

interface Check {
  readonly name: string;
  readonly command: readonly [string, ...string[]];
  /** What to do when it fails. */
  readonly hint?: string;
}

const STATIC_CHECKS: readonly Check[] = [
  { name: 'format', command: ['biome', 'ci', '--colors=off'], hint: '`make format` repairs it' },
  { name: 'lint and layers', command: ['oxlint', '--type-aware', '--deny-warnings'] },
  { name: 'types', command: ['tsc', '-p', '.'] },
  { name: 'unused code and dependencies', command: ['knip', '--no-progress'] },
  {
    name: 'generated files',
    command: ['node', 'hack/generate.ts', '--check'],
    hint: '`make generate` brings them up to date',
  },
];

const onlyStatic = process.argv.includes('--lint');
// Whatever else was given selects tests, as for vitest: `make test ARGS=test/integration/kube`.
const selection = process.argv.slice(2).filter((argument) => argument !== '--lint');

const interrupted = interruption();
const tallies: Tally[] = [];
for (const check of STATIC_CHECKS) if (!interrupted.aborted) tallies.push(await runStatic(check));
if (!onlyStatic && !interrupted.aborted) {
  await rm(REQUESTS_FILE, { force: true });
  tallies.push(await runVitest(), await judgeSecretScan());
  tallies.push(await checkPrivileges({ root: '.', wholeSuite: selection.length === 0 }));
}
const total = sum(tallies);
console.log(interrupted.aborted ? 'Interrupted.' : formatTally(total));
process.exitCode = interrupted.aborted ? 130 : total.failed === 0 ? 0 : 1;

async function runStatic({ name, command, hint }: Check): Promise<Tally> {
  const started = performance.now();
  const { code, output } = await execute(command, 'quiet');
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  if (code === 0) {
    console.log(`ok      ${name} (${seconds} s)`);
    return { passed: 1, failed: 0 };
  }
  console.log(`FAILED  ${name} (${seconds} s)${hint === undefined ? '' : `: ${hint}`}`);
  console.log((output.trimEnd() || `It ended with ${code}.`).replace(/^/gm, '        '));
  return { passed: 0, failed: 1 };
}

async function runVitest(): Promise<Tally> {
  await mkdir('out', { recursive: true });
  // A report of an earlier run must never be counted for this one.
  await rm(REPORT, { force: true });
  await rm(SCAN_FOLDER, { recursive: true, force: true });
  const { code } = await execute(
    ['vitest', 'run', '--reporter=default', '--reporter=json', `--outputFile.json=${REPORT}`, ...selection],
    'shown',
  );
  let report: VitestReport;
  try {
    report = JSON.parse(await readFile(REPORT, 'utf8'));
  } catch {
    console.log(`FAILED  vitest ended with ${code} and left no report`);
    return { ...NOTHING, failed: 1 };
  }
  return countVitest(report, code);
}

/** What the tests leave behind holds no secret of theirs: the integration tests scan it, and it counts as one check. */
async function judgeSecretScan(): Promise<Tally> {
  const records = await readRecords(SCAN_FOLDER);
  const whole = selection.length === 0;
  if (records.length === 0 && !whole) return NOTHING;
  const found = complaints(records, { whole });
  if (found.length === 0) {
    console.log(`ok      secret scan (${records.length} places)`);
    return { passed: 1, failed: 0 };
  }
  console.log(`FAILED  secret scan\n${found.join('\n').replace(/^/gm, '        ')}`);
  return { passed: 0, failed: 1 };
}

async function execute(
  command: readonly [string, ...string[]],
  mode: 'quiet' | 'shown',
): Promise<{ readonly code: number; readonly output: string }> {
  let output = '';
  const code = await runInterruptible(command, {
    interrupted,
    stdio: mode === 'shown' ? ['ignore', 'inherit', 'inherit'] : ['ignore', 'pipe', 'pipe'],
    onStart({ stdout, stderr }) {
      for (const stream of [stdout, stderr]) stream?.setEncoding('utf8').on('data', (text: string) => (output += text));
    },
  });
  return { code, output };
}
