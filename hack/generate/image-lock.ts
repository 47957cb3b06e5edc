import { parse } from 'yaml';
import { imageReferenceProblem } from '../../src/kernel/image-reference.ts';
import { isRecord } from '../../src/kernel/json-record.ts';
import type { GeneratedFile } from './files.ts';

const NAME = /^[a-z][a-z-]*$/;
const DIGEST = /^sha256:[0-9a-f]{64}$/;

interface Entry {
  readonly name: string;
  readonly repository: string;
  readonly tag: string;
  readonly digest?: string;
  readonly use: string;
}

/**
 * images.lock as the program reads it: a bundle has no other file beside it.
 *
 * @throws Error that names the entry which is not as it should be
 */
export function imageLockFile(text: string): GeneratedFile {
  const content: unknown = parse(text);
  const list = isRecord(content) ? content.images : undefined;
  if (!Array.isArray(list)) throw new Error('images.lock: there is no list `images`');
  const images = list.map(entryOf);
  const twice = images.find(({ name }, index) => images.findIndex((other) => other.name === name) !== index);
  if (twice !== undefined) throw new Error(`images.lock: there are two images ${twice.name}`);
  return { path: 'src/commands/image-lock.gen.json', content: `${JSON.stringify({ images }, null, 1)}\n` };
}

function entryOf(value: unknown, index: number): Entry {
  const wrong = (problem: string) => new Error(`images.lock: image ${index + 1}: ${problem}`);
  if (!isRecord(value)) throw wrong('it is no mapping');
  const { name, repository, tag, digest, use, ...others } = value;
  const [other] = Object.keys(others);
  if (other !== undefined) throw wrong(`"${other}" is not known`);
  if (typeof name !== 'string' || !NAME.test(name)) throw wrong('`name` is to be lower-case letters');
  // A tag such as 3.0 would be a number to YAML.
  if (typeof repository !== 'string' || typeof tag !== 'string') throw wrong('`repository` and `tag` are to be texts');
  if (typeof use !== 'string' || use === '') throw wrong('`use` is to say what starts it');
  if (digest !== undefined && (typeof digest !== 'string' || !DIGEST.test(digest)))
    throw wrong('`digest` is to be sha256: and 64 hex digits');
  const problem = imageReferenceProblem(`${repository}:${tag}`);
  if (problem !== undefined) throw wrong(problem);
  return { name, repository, tag, ...(digest === undefined ? {} : { digest }), use };
}
