/** Secret values for tests. Each carries one marker or is recorded, so that the scan after the tests (secret-scan.ts) knows it wherever it turns up. */
import { randomBytes } from 'node:crypto';
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Letters alone, so that no encoding of URLs, JSON or shells changes it. */
const MARKER = 'KmmTestSecretValue';

/** Names the folder of the scan; absent where nobody scans (unit tests, demo, bench). */
export const SCAN_FOLDER_VARIABLE = 'KMM_SECRET_SCAN';

/** A password or token. */
export function testSecret(what: string): string {
  return `${MARKER}-${what}-${randomBytes(6).toString('hex')}`;
}

/** A secret that a program has made, as a private key: it carries no marker, so a part of it is kept until the scan. */
export function recordSecret(what: string, value: string): void {
  const folder = process.env[SCAN_FOLDER_VARIABLE];
  if (folder === undefined) return;
  const lines = value.split('\n').filter((line) => !line.startsWith('-----') && line.length >= 16);
  // The middle: keys of one kind begin alike.
  const part = lines[Math.floor(lines.length / 2)] ?? value;
  appendFileSync(join(folder, 'recorded.jsonl'), `${JSON.stringify({ what, part })}\n`, { mode: 0o600 });
}

/** What the scan looks for: texts, each with the name of the secret that it is a part of. */
export function secretPatterns(folder: string): ReadonlyMap<string, string> {
  const patterns = new Map<string, string>();
  const file = join(folder, 'recorded.jsonl');
  const recorded = existsSync(file) ? readFileSync(file, 'utf8').trimEnd().split('\n') : [];
  for (const pattern of formsOf(MARKER)) patterns.set(pattern, 'a test secret');
  for (const line of recorded) {
    const { what, part }: { readonly what: string; readonly part: string } = JSON.parse(line);
    for (const pattern of formsOf(part)) patterns.set(pattern, what);
  }
  return patterns;
}

/** As it is, and as it stands in the base64 of a longer text, which depends on where in it: a third of the places each. */
function formsOf(text: string): string[] {
  const bytes = Buffer.from(text);
  const encoded = [0, 1, 2].map((before) => {
    // The first and last characters of the base64 depend on the neighbours too.
    const usable = bytes.subarray((3 - before) % 3);
    return usable.subarray(0, usable.length - (usable.length % 3)).toString('base64');
  });
  return [text, ...encoded];
}
