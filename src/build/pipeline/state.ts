import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { requestHash } from './build-key.ts';
import type { Durations } from './report.ts';
import { type BuildRequest } from './request.ts';
import type { ContainerStage } from './stages.ts';

/** An image that was found. */
export interface Found {
  readonly kind: 'found';
  readonly result: 'present' | 'vendor';
  readonly reference: string;
  readonly digest: string;
  readonly buildKey?: string;
  readonly commit?: string;
  /** The user's own reference, which must still be written: a run ended before that. */
  readonly missing?: string;
}

/** An image that is yet to be built: the stage `check` was here, and `build` was not. */
export interface Missing {
  readonly kind: 'missing';
  readonly buildKey: string;
  readonly commit?: string;
}

/** An image in the work folder's storage. */
export interface Made {
  readonly kind: 'made';
  /** Of the storage. */
  readonly imageId: string;
  readonly buildKey: string;
  readonly commit?: string;
  readonly cached: boolean;
  /** Whether the stage `sign` was here. */
  readonly isSigned: boolean;
}

/** What a stage leaves for the next; no secret is in it. */
export interface State {
  /** That left it. */
  readonly stage: ContainerStage;
  readonly outcome: Found | Missing | Made;
  readonly durations: Durations;
}

interface Stored extends State {
  readonly version: 1;
  readonly request: string;
}

const FILE = 'state.json';

/** Takes the place of what was there, in one step: a kill leaves the old or the new. */
export async function writeState(work: string, request: BuildRequest, state: State): Promise<void> {
  const stored: Stored = { version: 1, request: requestHash(request), ...state };
  const path = join(work, FILE);
  await mkdir(work, { recursive: true });
  await writeFile(`${path}.new`, JSON.stringify(stored));
  await rename(`${path}.new`, path);
}

/** Undefined where there is none of this request: one of another request, or of another version of this program, is thrown away. */
export async function readState(work: string, request: BuildRequest): Promise<State | undefined> {
  const path = join(work, FILE);
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
  const stored = parse(text);
  if (stored !== undefined && stored.request === requestHash(request)) return stored;
  await clearState(work);
  return undefined;
}

export async function clearState(work: string): Promise<void> {
  await rm(join(work, FILE), { force: true });
}

function parse(text: string): Stored | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isStored(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Only this program writes the file, so its version vouches for the fields. */
function isStored(value: unknown): value is Stored {
  return typeof value === 'object' && value !== null && 'version' in value && value.version === 1 && 'outcome' in value;
}
