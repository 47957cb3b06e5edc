import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { BuildFiles } from './files.ts';
import { entriesOf, isMissing } from './mounted-files.ts';
import type { Redact } from './tool.ts';

/** Characters. Shorter secrets stay: taking `a` or `yes` out of a log leaves none of it. */
export const SHORTEST_SECRET = 6;
/** Characters of one piece. Longer lines are cut into pieces, so that looking at a place of the text has a bound. */
const LONGEST_PIECE = 256;
/** Bytes: the API server takes no larger Secret. */
const LARGEST_FILE = 1024 * 1024;
const MASK = '***';

/** Names of files in a mounted Secret, and of fields in a JSON file there, that hold nothing secret: their words stand in every log. */
const PUBLIC_NAMES: ReadonlySet<string> = new Set(['username', 'known_hosts', 'ca.crt', 'tls.crt', 'ssh-publickey']);

/** Takes every one of `secrets` out of a text, whether it stands there as a whole, by its lines, in base64 or escaped. */
export function redactor(secrets: Iterable<string>): Redact {
  const byHead = new Map<string, string[]>();
  for (const piece of new Set([...secrets].flatMap(piecesOf))) {
    const head = piece.slice(0, SHORTEST_SECRET);
    const pieces = byHead.get(head);
    if (pieces === undefined) byHead.set(head, [piece]);
    else pieces.push(piece);
  }
  // The longest first: of two that begin alike, the shorter would leave the end of the longer.
  for (const pieces of byHead.values()) pieces.sort((a, b) => b.length - a.length);
  return (text) => mask(text, byHead);
}

/** Each place of the text is looked at once, by its first characters. */
function mask(text: string, byHead: ReadonlyMap<string, readonly string[]>): string {
  if (byHead.size === 0) return text;
  const kept: string[] = [];
  let from = 0;
  for (let at = 0; at + SHORTEST_SECRET <= text.length; ) {
    const piece = byHead.get(text.slice(at, at + SHORTEST_SECRET))?.find((each) => text.startsWith(each, at));
    if (piece === undefined) {
      at++;
      continue;
    }
    kept.push(text.slice(from, at), MASK);
    at += piece.length;
    from = at;
  }
  kept.push(text.slice(from));
  return kept.join('');
}

/** What of a secret may stand in one line of a log. */
function piecesOf(secret: string): string[] {
  const value = secret.trim();
  if (value.length < SHORTEST_SECRET) return [];
  const lines = value.split(/\r?\n/).map((line) => line.trim());
  // The frame of a PEM file is no secret, and is a line of many logs.
  const long = lines.filter((line) => line.length >= SHORTEST_SECRET && !line.startsWith('-----'));
  const whole = long.length === 0 && !value.includes('-----') ? [value] : long;
  return whole.flatMap((line) => [...variantsOf(line)]).flatMap(cut);
}

/** As a tool may print it: in a URL, in JSON, as the value of a basic authentication. */
function variantsOf(line: string): Set<string> {
  const encoded = Buffer.from(line).toString('base64');
  return new Set([line, urlEncoded(line), JSON.stringify(line).slice(1, -1), encoded]);
}

function urlEncoded(line: string): string {
  try {
    return encodeURIComponent(line);
  } catch {
    // Half of a character, as binary files have: no URL holds it.
    return line;
  }
}

function cut(line: string): string[] {
  if (line.length <= LONGEST_PIECE + SHORTEST_SECRET) return [line];
  return [line.slice(0, LONGEST_PIECE), ...cut(line.slice(LONGEST_PIECE))];
}

/**
 * What is secret in a file: all of it, and each text within where it is JSON. Which of its fields are secret only the one who reads it knows:
 * of a docker configuration it is also what `auth` decodes to, and the password in that.
 */
export function secretsIn(text: string): string[] {
  const secrets = [text];
  // A list, not recursion: JSON nested deeper than the stack would end the build.
  const left: [name: string, value: unknown][] = [['', parsed(text)]];
  for (let next = left.pop(); next !== undefined; next = left.pop()) {
    const [name, value] = next;
    if (typeof value === 'string') {
      if (PUBLIC_NAMES.has(name)) continue;
      secrets.push(value);
      if (name === 'auth') secrets.push(...decodedAuth(value));
    } else if (typeof value === 'object' && value !== null) {
      for (const entry of Object.entries(value)) left.push(entry);
    }
  }
  return secrets;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function decodedAuth(auth: string): string[] {
  const decoded = Buffer.from(auth, 'base64').toString('utf8');
  return [decoded, decoded.slice(decoded.indexOf(':') + 1)];
}

/** Reads every secret file that this container was given. */
export async function redactorOf(files: BuildFiles): Promise<Redact> {
  const folders = [files.pullSecret, files.pushSecret, files.gitSecret, files.buildSecrets];
  const found = await Promise.all([
    ...folders.map(secretsBelow),
    secretsOfFile(files.signKey, 'key'),
    secretsOfFile(files.clusterRegistryToken, 'token'),
  ]);
  return redactor(found.flat());
}

async function secretsBelow(folder: string): Promise<string[]> {
  const found: string[][] = [];
  for (const name of await entriesOf(folder)) {
    const path = join(folder, name);
    const isFolder = (await stat(path)).isDirectory();
    found.push(isFolder ? await secretsBelow(path) : await secretsOfFile(path, name));
  }
  return found.flat();
}

async function secretsOfFile(path: string, name: string): Promise<string[]> {
  if (PUBLIC_NAMES.has(name)) return [];
  let content: Buffer;
  try {
    content = await readFile(path);
  } catch (error) {
    if (isMissing(error)) return [];
    throw new Error(`the secret file ${path} cannot be read, so nothing can be kept out of the log`, { cause: error });
  }
  return secretsIn(content.subarray(0, LARGEST_FILE).toString('utf8'));
}
