/** What the test control plane is made of: three Go modules (their dependency versions do not agree) and how they are built. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { machineCache } from '../machine-cache.ts';
import type { Binary } from './binaries.ts';

export interface PinnedModule {
  /** Folder beside this file that holds go.mod and go.sum. */
  readonly folder: 'kubernetes' | 'etcd' | 'kwok';
  /** The Go module whose version names the pin. */
  readonly module: string;
  readonly packages: Readonly<Partial<Record<Binary, string>>>;
}

export const PINNED_MODULES: readonly PinnedModule[] = [
  {
    folder: 'kubernetes',
    module: 'k8s.io/kubernetes',
    packages: {
      'kube-apiserver': 'k8s.io/kubernetes/cmd/kube-apiserver',
      'kube-controller-manager': 'k8s.io/kubernetes/cmd/kube-controller-manager',
      'kube-scheduler': 'k8s.io/kubernetes/cmd/kube-scheduler',
      kubectl: 'k8s.io/kubernetes/cmd/kubectl',
    },
  },
  {
    folder: 'etcd',
    module: 'go.etcd.io/etcd/server/v3',
    packages: { etcd: 'go.etcd.io/etcd/server/v3' },
  },
  {
    folder: 'kwok',
    module: 'sigs.k8s.io/kwok',
    packages: { kwok: 'sigs.k8s.io/kwok/cmd/kwok', kwokctl: 'sigs.k8s.io/kwok/cmd/kwokctl' },
  },
];

/** The pinned version of a module (`v1.36.3`), read from its go.mod. */
export async function pinnedVersion(module: PinnedModule, root: string = import.meta.dirname): Promise<string> {
  const text = await readFile(join(root, module.folder, 'go.mod'), 'utf8');
  const escaped = module.module.replace(/[.]/g, '\\.');
  const version = new RegExp(`^\\s*(?:require )?${escaped} (v\\S+)`, 'm').exec(text)?.[1];
  if (version === undefined) throw new Error(`${module.folder}/go.mod does not require ${module.module}`);
  return version;
}

/** Arguments of `go build` for the module at this version. */
export function buildFlags(module: PinnedModule, version: string): readonly string[] {
  const flags = ['-s', '-w'];
  if (module.folder === 'kubernetes') {
    // Without these the server reports no version, and its feature gates emulate some default one.
    const [major, minor] = version.slice(1).split('.');
    const stamp = 'k8s.io/component-base/version';
    flags.push(`-X ${stamp}.gitVersion=${version}`, `-X ${stamp}.gitMajor=${major}`, `-X ${stamp}.gitMinor=${minor}`);
  }
  return ['-trimpath', '-buildvcs=false', '-ldflags', flags.join(' ')];
}

/** Environment of `go build`: static binaries, and nothing of the caller's Go settings that would change them. */
export const BUILD_ENVIRONMENT = { CGO_ENABLED: '0', GOWORK: 'off', GOFLAGS: '-mod=readonly' } as const;

/**
 * Names the folder of the cache: it changes with every pin, every checksum and every build flag, and with the platform,
 * so that a cached binary is always the one this checkout would build.
 */
export async function pinsHash(root: string = import.meta.dirname): Promise<string> {
  const hash = createHash('sha256').update(
    `${process.platform}-${process.arch}\n${JSON.stringify(BUILD_ENVIRONMENT)}\n`,
  );
  for (const module of PINNED_MODULES) {
    hash.update(`${module.folder}\n${buildFlags(module, await pinnedVersion(module, root)).join(' ')}\n`);
    hash.update(JSON.stringify(module.packages));
    for (const file of ['go.mod', 'go.sum']) hash.update(await readFile(join(root, module.folder, file)));
  }
  return hash.digest('hex').slice(0, 16);
}

/** `${XDG_CACHE_HOME:-~/.cache}/kmm/control-plane/<hash of the pins>`. */
export async function cacheDirectory(environment: NodeJS.ProcessEnv = process.env): Promise<string> {
  return join(machineCache('control-plane', environment), await pinsHash());
}
