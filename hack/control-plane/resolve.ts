import { execFile } from 'node:child_process';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { isExecutable } from '../machine-cache.ts';
import { BINARIES, type Binaries, type Binary } from './binaries.ts';
import { cacheDirectory, PINNED_MODULES, pinnedVersion } from './pins.ts';

const execute = promisify(execFile);

export interface Resolved {
  readonly binaries: Binaries;
  /** Where they come from, as the end of the sentence `control plane from ...`. */
  readonly source: string;
}

export interface Resolution {
  readonly found?: Resolved;
  /** Why a place that was given or is usual was not used; one sentence each. */
  readonly notes: readonly string[];
}

/** Everything resolution looks at, so that a test can give it another world. */
export interface Surroundings {
  readonly environment: NodeJS.ProcessEnv;
  readonly cache: string;
  readonly isExecutable: (file: string) => Promise<boolean>;
  /** First version number (`1.36.3`) that the program prints. */
  readonly versionOf: (binary: Binary, file: string) => Promise<string>;
  /** The pinned version of each program (`1.36.3`). */
  readonly wanted: Readonly<Record<Binary, string>>;
}

/**
 * Looks for a complete set of programs: KUBEBUILDER_ASSETS, then PATH, then the cache. The first two count only when
 * every program is there in the pinned minor version; the cache holds what this checkout's pins gave.
 */
export async function resolveControlPlane(world: Surroundings): Promise<Resolution> {
  const notes: string[] = [];
  const assets = world.environment['KUBEBUILDER_ASSETS'] ?? '';
  const path = (world.environment['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '');
  const places = [
    { source: `KUBEBUILDER_ASSETS (${assets})`, folders: assets === '' ? [] : [assets], given: assets !== '' },
    { source: 'PATH', folders: path, given: false },
  ];
  for (const { source, folders, given } of places) {
    const { binaries, missing } = await search(folders, world);
    if (binaries === undefined) {
      if (given) notes.push(`${source} is not used: it has no ${missing.join(', ')}.`);
      continue;
    }
    const wrong = await otherVersions(binaries, world);
    if (wrong.length === 0) return { found: { binaries, source }, notes };
    notes.push(`${source} is not used: ${wrong.join(', ')}.`);
  }
  const { binaries } = await search([world.cache], world);
  return binaries === undefined ? { notes } : { found: { binaries, source: `the cache (${world.cache})` }, notes };
}

async function search(
  folders: readonly string[],
  world: Surroundings,
): Promise<{ readonly binaries?: Binaries; readonly missing: readonly Binary[] }> {
  const found = new Map<Binary, string>();
  for (const binary of BINARIES) {
    for (const folder of folders) {
      const file = join(folder, binary);
      if (!(await world.isExecutable(file))) continue;
      found.set(binary, file);
      break;
    }
  }
  const missing = BINARIES.filter((binary) => !found.has(binary));
  return missing.length > 0 ? { missing } : { binaries: perBinary((binary) => found.get(binary) ?? ''), missing };
}

async function otherVersions(binaries: Binaries, world: Surroundings): Promise<readonly string[]> {
  const checks = BINARIES.map(async (binary) => {
    const version = await world.versionOf(binary, binaries[binary]);
    const wanted = world.wanted[binary];
    return minor(version) === minor(wanted) ? [] : [`${binary} is ${version || 'of no known version'}, not ${wanted}`];
  });
  return (await Promise.all(checks)).flat();
}

function minor(version: string): string {
  return version.split('.').slice(0, 2).join('.');
}

export function perBinary(value: (binary: Binary) => string): Binaries {
  return {
    'kube-apiserver': value('kube-apiserver'),
    'kube-controller-manager': value('kube-controller-manager'),
    'kube-scheduler': value('kube-scheduler'),
    kubectl: value('kubectl'),
    etcd: value('etcd'),
    kwok: value('kwok'),
    kwokctl: value('kwokctl'),
  };
}

/** This machine, this process's environment. */
export async function surroundings(environment: NodeJS.ProcessEnv = process.env): Promise<Surroundings> {
  const wanted = new Map<string, string>();
  for (const module of PINNED_MODULES) {
    const version = (await pinnedVersion(module)).slice(1);
    for (const binary of Object.keys(module.packages)) wanted.set(binary, version);
  }
  return {
    environment,
    cache: await cacheDirectory(environment),
    isExecutable,
    versionOf,
    wanted: perBinary((binary) => wanted.get(binary) ?? ''),
  };
}

async function versionOf(binary: Binary, file: string): Promise<string> {
  const args = binary === 'kubectl' ? ['version', '--client'] : ['--version'];
  try {
    const { stdout, stderr } = await execute(file, args, { timeout: 20_000 });
    return /(\d+\.\d+\.\d+)/.exec(stdout + stderr)?.[1] ?? '';
  } catch {
    return '';
  }
}

let resolved: Promise<Binaries> | undefined;

/**
 * The programs, without building any: what tests call.
 *
 * @throws Error that says to run `make setup` when there are none.
 */
export function findControlPlane(): Promise<Binaries> {
  resolved ??= find();
  return resolved;
}

async function find(): Promise<Binaries> {
  const { found, notes } = await resolveControlPlane(await surroundings());
  if (found === undefined) {
    throw new Error(['There is no control plane to test with: run `make setup` first.', ...notes].join(' '));
  }
  return found.binaries;
}
