import { readFile } from 'node:fs/promises';
import { defaultImageTemplate } from '../kernel/cluster-registry.ts';
import { readModule } from './match-module.ts';
import { type MatchOptions, readMatchCommandLine } from './match-options.ts';
import { formatReport, hasImage, ignoredArguments, matchReport } from './match-report.ts';

/** Exit codes; `kmm match --help` explains them. */
const BAD_INPUT = 1;
const NOT_ALL_MATCHED = 2;

/** No Module is that large: etcd takes 1.5 MiB. */
const MOST_INPUT_BYTES = 8 * 1024 * 1024;

/** Runs `kmm match` and leaves its outcome in process.exitCode. */
export async function runMatch(argv: readonly string[]): Promise<void> {
  const line = readMatchCommandLine(argv);
  switch (line.kind) {
    case 'help':
      process.stdout.write(line.text);
      return;
    case 'refused':
      refuse(line.errors);
      return;
    case 'run':
      await match(line.options);
  }
}

async function match(options: MatchOptions): Promise<void> {
  const input = await readInput(options.file);
  if (!input.ok) return refuse([input.problem]);
  const reading = readModule(input.text);
  if (!reading.ok) return refuse([`${input.name}: ${reading.problem}.`]);
  const { module } = reading;
  const { mappings } = module;
  const identity = { name: module.name, namespace: options.namespace ?? module.namespace ?? 'default' };
  const { registryPullHost: host } = options;
  const defaultImage = host === undefined ? undefined : defaultImageTemplate(host);
  const reports = options.kernels.map((kernel) =>
    matchReport({ mappings, kernel, arch: options.arch, module: identity, defaultImage }),
  );
  // Nobody can read a remark in the middle of JSON, so remarks go where errors go.
  const [kernel = ''] = options.kernels;
  say(ignoredArguments({ kernel, arch: options.arch, module: identity }, mappings));
  process.stdout.write(
    options.output === 'json'
      ? `${JSON.stringify(reports, undefined, 2)}\n`
      : reports.map((report) => formatReport(report, mappings)).join('\n'),
  );
  if (!reports.every(hasImage)) process.exitCode = NOT_ALL_MATCHED;
}

type Input =
  | { readonly ok: true; readonly name: string; readonly text: string }
  | { readonly ok: false; readonly problem: string };

async function readInput(file: string | undefined): Promise<Input> {
  if (file === undefined && process.stdin.isTTY) {
    return { ok: false, problem: 'No Module is given; write -f and a file, or pipe a Module into kmm match.' };
  }
  const isPiped = file === undefined || file === '-';
  const name = isPiped ? 'standard input' : file;
  try {
    return { ok: true, name, text: isPiped ? await readStandardInput() : await readFile(file, 'utf8') };
  } catch (error) {
    const cause = error instanceof Error ? error.message : String(error);
    return { ok: false, problem: `Cannot read ${name}: ${cause}.` };
  }
}

async function readStandardInput(): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of process.stdin) {
    const buffer = Buffer.from(chunk);
    bytes += buffer.length;
    if (bytes > MOST_INPUT_BYTES) throw new Error(`it is longer than ${MOST_INPUT_BYTES} bytes, and no Module is`);
    chunks.push(buffer);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function refuse(errors: readonly string[]): void {
  say(errors);
  process.exitCode = BAD_INPUT;
}

function say(sentences: readonly string[]): void {
  for (const sentence of sentences) process.stderr.write(`kmm match: ${sentence}\n`);
}
