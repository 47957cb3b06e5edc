/**
 * Looks for secrets of the tests in what the tests leave behind, at the moment when it is thrown away: logs, objects and events of API servers,
 * image layers and their history, reports and work folders of builds. What was found, and what was looked through, is written below out/ and
 * judged after all tests (cluster.ts, hack/test.ts).
 *
 * Exempt are the places where a secret belongs: Secret objects (with the requests by which a test makes them, whose bodies the audit log does not
 * have), the files that a kubelet would mount into a build pod, a build's `private` folder until its pipeline ends, the servers that check
 * credentials (htpasswd, sshd, the Git server's list of users), and kubeconfigs.
 */
import { spawn } from 'node:child_process';
import { appendFileSync } from 'node:fs';
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';

import { SCAN_FOLDER_VARIABLE, secretPatterns } from './test-secrets.ts';

/** What is looked through. A whole run of the tests has some of each. */
export const SCANNED = ['layers', 'build logs', 'work folders', 'objects', 'cluster logs', 'captured logs'] as const;
export type Scanned = (typeof SCANNED)[number];

export interface Finding {
  /** Which secret; never its value. */
  readonly secret: string;
  readonly place: string;
}

/** A line of the record. */
export interface ScanRecord {
  readonly scanned: Scanned;
  readonly what: string;
  readonly findings: readonly Finding[];
}

const RECORD_FILE = 'scanned.jsonl';

export function isScanning(): boolean {
  return process.env[SCAN_FOLDER_VARIABLE] !== undefined;
}

/** Scans and keeps the result; does nothing where nobody scans. */
async function keep(
  scanned: Scanned,
  what: string,
  find: (patterns: ReadonlyMap<string, string>) => Promise<readonly Finding[]>,
): Promise<void> {
  const folder = process.env[SCAN_FOLDER_VARIABLE];
  if (folder !== undefined) write(folder, { scanned, what, findings: await find(secretPatterns(folder)) });
}

function write(folder: string, line: ScanRecord): void {
  appendFileSync(join(folder, RECORD_FILE), `${JSON.stringify(line)}\n`);
}

/** A log or a report. */
export function scanText(scanned: Scanned, what: string, text: string): void {
  const folder = process.env[SCAN_FOLDER_VARIABLE];
  if (folder === undefined) return;
  write(folder, { scanned, what, findings: findInText(text, what, secretPatterns(folder)) });
}

/** A line of a log that a test keeps; recorded only where something was found, or `first`. */
export function scanLine(line: string, first: boolean): void {
  const folder = process.env[SCAN_FOLDER_VARIABLE];
  if (folder === undefined) return;
  const findings = findInText(line, 'a captured log', secretPatterns(folder));
  if (first || findings.length > 0) write(folder, { scanned: 'captured logs', what: 'a captured log', findings });
}

/** All files below a folder, but those below folders and in files of these names (globs). */
export function scanFolder(scanned: Scanned, folder: string, exempt: readonly string[] = []): Promise<void> {
  return keep(scanned, folder, (patterns) => findInFolder(folder, patterns, exempt));
}

/** A registry's storage: manifests and configurations (with the history) as they are, layers unpacked. */
export function scanRegistry(folder: string): Promise<void> {
  return keep('layers', folder, (patterns) => findInRegistry(folder, patterns));
}

/** Every version of every object, by its key in etcd. */
export function scanObjects(what: string, versions: AsyncIterable<StoredVersion>): Promise<void> {
  return keep('objects', what, (patterns) => findInObjects(versions, patterns));
}

/** The value of a key of etcd. */
export interface StoredVersion {
  readonly key: string;
  readonly value: Buffer;
}

const SECRETS = '/registry/secrets/';

export async function findInObjects(
  versions: AsyncIterable<StoredVersion>,
  patterns: ReadonlyMap<string, string>,
): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  for await (const { key, value } of versions) {
    if (!key.startsWith(SECRETS)) findings.push(...findInText(value.toString('latin1'), key, patterns));
  }
  return findings;
}

export function findInText(text: string, place: string, patterns: ReadonlyMap<string, string>): readonly Finding[] {
  const secrets = new Set([...patterns].flatMap(([pattern, secret]) => (text.includes(pattern) ? [secret] : [])));
  return [...secrets].map((secret) => ({ secret, place }));
}

export async function findInFolder(
  folder: string,
  patterns: ReadonlyMap<string, string>,
  exempt: readonly string[] = [],
): Promise<readonly Finding[]> {
  const excluded = exempt.flatMap((name) => [`--exclude-dir=${name}`, `--exclude=${name}`]);
  // Of each hit: the file, a zero byte, the pattern.
  const args = ['-raoFZ', '--devices=skip', ...excluded, '--file=-', folder];
  const output = await pipe(['grep', ...args], [...patterns.keys()].join('\n'));
  return unique(
    output.split('\n').flatMap((line) => {
      const [path, pattern = ''] = line.split('\0');
      return path === undefined || path === '' ? [] : [{ secret: patterns.get(pattern) ?? 'unknown', place: path }];
    }),
  );
}

/** grep looks for all patterns at once; in JavaScript each would be looked for by itself, and layers have hundreds of megabytes. */
export async function findInRegistry(
  folder: string,
  patterns: ReadonlyMap<string, string>,
): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  const list = [...patterns.keys()].join('\n');
  // gzip -f gives what is not compressed as it is.
  const script = 'grep -aoF --file=- -- <(gzip -dcf -- "$1")';
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const output = await pipe(['bash', '-c', script, 'bash', path], list);
    for (const pattern of output.split('\n').filter((line) => line !== '')) {
      findings.push({ secret: patterns.get(pattern) ?? 'unknown', place: path });
    }
  }
  return unique(findings);
}

function unique(findings: readonly Finding[]): readonly Finding[] {
  return [...new Map(findings.map((finding) => [`${finding.secret} ${finding.place}`, finding])).values()];
}

/** Standard output of a search, whose exit code is 1 where it finds nothing, and 2 where a file has gone meanwhile. */
function pipe([program = '', ...args]: readonly string[], input: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'ignore'] });
    let output = '';
    child.stdout.setEncoding('latin1').on('data', (text: string) => (output += text));
    child.stdin.on('error', () => undefined);
    child.once('error', reject);
    child.once('close', () => resolve(output));
    child.stdin.end(input);
  });
}

/** Where a run of the tests keeps its record, from the repository's root. */
export const SCAN_FOLDER = 'out/secret-scan';

/** Begins a record: this process, and those that it starts, scan from now on. */
export async function startScan(): Promise<string> {
  const folder = resolve(SCAN_FOLDER);
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true, mode: 0o700 });
  process.env[SCAN_FOLDER_VARIABLE] = folder;
  return folder;
}

/** What is to be said against a run: each place where a secret was found, and, of a whole run, each kind of place that was not looked at. */
export function complaints(records: readonly ScanRecord[], { whole }: { readonly whole: boolean }): readonly string[] {
  const found = unique(records.flatMap(({ findings }) => findings)).map(
    ({ secret, place }) => `${secret} is in ${place}`,
  );
  const kinds = new Set(records.map(({ scanned }) => scanned));
  return [
    ...found,
    ...(whole ? SCANNED.filter((kind) => !kinds.has(kind)).map((kind) => `no ${kind} were scanned`) : []),
  ];
}

/** The record of a run; empty where there was none. */
export async function readRecords(folder: string): Promise<readonly ScanRecord[]> {
  const text = await readFile(join(folder, RECORD_FILE), 'utf8').catch(() => '');
  return text.split('\n').flatMap((line): ScanRecord[] => (line === '' ? [] : [JSON.parse(line)]));
}
