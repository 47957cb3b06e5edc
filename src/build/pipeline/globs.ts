import type { Dirent, Stats } from 'node:fs';
import { lstat, opendir } from 'node:fs/promises';
import { basename, join, matchesGlob } from 'node:path';

import { resolveInRoot } from './root-path.ts';

/** A glob that cannot be used, or a tree that is too large to look through. The message is a whole sentence. */
export class GlobError extends Error {
  override readonly name = 'GlobError';
}

export interface GlobOptions {
  readonly signal: AbortSignal;
  /** How many entries of folders one glob may look at; 1,000,000 unless told. */
  readonly mostEntries?: number;
  /** Whether `*` and `**` stand for names that begin with a dot, too; no unless told, as in a shell. */
  readonly hidden?: boolean;
  /** What a file must be called to be a find; any file unless told. Looked at before the glob, which takes longer. */
  readonly named?: RegExp;
}

/** More than any distribution's image has files. */
const MOST_ENTRIES = 1_000_000;
/** Folders whose content is not the image's. */
const NOT_OF_THE_IMAGE = new Set(['/proc', '/sys', '/dev']);

interface Walk {
  readonly root: string;
  readonly signal: AbortSignal;
  readonly found: Set<string>;
  /** Pairs of folder and place in the glob that were seen: two `**` would come to one many times. */
  readonly seen: Set<string>;
  entriesLeft: number;
  readonly glob: string;
  readonly hidden: boolean;
  readonly named: RegExp;
  /** What was read last: `**` and the part behind it look at the same folder one after the other. */
  listed: { readonly folder: string; readonly entries: readonly Entry[] } | undefined;
}

/**
 * The regular files below `root` that an absolute glob names, sorted, each once, as paths of the image without links.
 *
 * Names are matched as by Node's `path.matchesGlob`, folder by folder: `*`, `?`, `[..]`, `{a,b}`, and `**` for any folders. As in a shell, links
 * are followed where a folder is named or matched by a pattern, and not by `**`. A link never leads out of `root`: it means what it means
 * in a container of the image.
 *
 * @throws GlobError for a glob that is not absolute, and where there is too much to look through
 */
export async function filesOfGlob(root: string, glob: string, options: GlobOptions): Promise<readonly string[]> {
  const parts = partsOfGlob(glob);
  const walk: Walk = {
    root,
    glob,
    signal: options.signal,
    hidden: options.hidden ?? false,
    named: options.named ?? /^/,
    listed: undefined,
    found: new Set(),
    seen: new Set(),
    entriesLeft: options.mostEntries ?? MOST_ENTRIES,
  };
  await visit(walk, '/', parts, 0);
  return [...walk.found].sort();
}

/** @throws GlobError */
function partsOfGlob(glob: string): readonly string[] {
  if (!glob.startsWith('/'))
    throw new GlobError(`The glob ${glob} does not begin with a slash: globs are absolute paths of the image.`);
  const parts = glob.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..')) throw new GlobError(`The glob ${glob} has .. in it, which is not understood.`);
  for (const part of parts) {
    if (count(part, '{') !== count(part, '}')) {
      throw new GlobError(
        `The glob ${glob} has a slash between { and }, which is not understood: write it as several globs.`,
      );
    }
  }
  return parts;
}

function count(text: string, character: string): number {
  return text.split(character).length - 1;
}

/** `folder` is a path without links. */
async function visit(walk: Walk, folder: string, parts: readonly string[], index: number): Promise<void> {
  const part = parts[index];
  if (part === undefined) return;
  const place = `${index} ${folder}`;
  if (walk.seen.has(place)) return;
  walk.seen.add(place);
  walk.signal.throwIfAborted();
  const isLast = index === parts.length - 1;
  if (part === '**') {
    const all = await entries(walk, folder);
    // No folder at all is one of the things that it stands for.
    await visit(walk, folder, parts, index + 1);
    for (const entry of all) {
      const path = join(folder, entry.name);
      if ((entry.name.startsWith('.') && !walk.hidden) || NOT_OF_THE_IMAGE.has(path)) continue;
      if (entry.kind === 'folder') await visit(walk, path, parts, index);
      else if (isLast) await take(walk, path, entry);
    }
    return;
  }
  for (const entry of hasPattern(part) ? await entries(walk, folder) : [await namedEntry(walk, folder, part)]) {
    if (entry === undefined || (isLast ? entry.kind === 'folder' : entry.kind === 'file')) continue;
    if (entry.kind === 'file' && !walk.named.test(entry.name)) continue;
    if (entry.name !== part && !matches(walk, entry.name, part)) continue;
    const path = join(folder, entry.name);
    if (isLast) await take(walk, path, entry);
    else {
      const real = entry.kind === 'folder' ? path : await resolveInRoot(walk.root, path);
      if (real !== undefined && !NOT_OF_THE_IMAGE.has(real)) await visit(walk, real, parts, index + 1);
    }
  }
}

function hasPattern(part: string): boolean {
  return /[*?[\]{}()!+@]/.test(part);
}

function matches(walk: Walk, name: string, part: string): boolean {
  if (part === '*') return walk.hidden || !name.startsWith('.');
  return matchesGlob(name, part);
}

/** A regular file is a find; a link to one is a find of that file. The folder of `path` is one without links. */
async function take(walk: Walk, path: string, { kind }: Entry): Promise<void> {
  const real = kind === 'file' ? path : kind === 'link' ? await resolveInRoot(walk.root, path) : undefined;
  if (real === undefined || !walk.named.test(basename(real))) return;
  if (kind === 'file' || (await lstat(join(walk.root, real))).isFile()) walk.found.add(real);
}

interface Entry {
  readonly name: string;
  readonly kind: 'folder' | 'file' | 'link' | 'other';
}

function kindOf(entry: Dirent | Stats): Entry['kind'] {
  if (entry.isDirectory()) return 'folder';
  if (entry.isFile()) return 'file';
  return entry.isSymbolicLink() ? 'link' : 'other';
}

async function namedEntry(walk: Walk, folder: string, name: string): Promise<Entry | undefined> {
  try {
    return { name, kind: kindOf(await lstat(join(walk.root, folder, name))) };
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'ENAMETOOLONG') return undefined;
    throw error;
  }
}

/** Sorted by name; nothing for what is no folder. */
async function entries(walk: Walk, folder: string): Promise<readonly Entry[]> {
  if (walk.listed?.folder === folder) return walk.listed.entries;
  const path = join(walk.root, folder);
  if (!(await lstat(path)).isDirectory()) return [];
  const found: Entry[] = [];
  for await (const entry of await opendir(path, { bufferSize: 256 })) {
    if (--walk.entriesLeft < 0) {
      throw new GlobError(
        `The glob ${walk.glob} goes through too many files: begin it with the folder that the modules are in.`,
      );
    }
    found.push({ name: entry.name, kind: kindOf(entry) });
  }
  found.sort((a, b) => (a.name < b.name ? -1 : 1));
  walk.listed = { folder, entries: found };
  return found;
}
