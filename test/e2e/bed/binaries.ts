/** Go programs of the bed: those out of the module that pins the control plane, and those out of modules of its own. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { goBuild } from '../../../hack/control-plane/build.ts';
import { BUILD_ENVIRONMENT, buildFlags, PINNED_MODULES, pinnedVersion } from '../../../hack/control-plane/pins.ts';
import { type Making, made } from './cache.ts';

const CONTROL_PLANE = join(import.meta.dirname, '..', '..', '..', 'hack', 'control-plane');
const E2E = join(import.meta.dirname, '..');

/** Path of a static kubelet of the control plane's own version. */
export function kubelet(making: Making): Promise<string> {
  return kubernetesProgram('kubelet', 'k8s.io/kubernetes/cmd/kubelet', making);
}

/** Path of a static kube-proxy of the same version. */
export function kubeProxy(making: Making): Promise<string> {
  return kubernetesProgram('kube-proxy', 'k8s.io/kubernetes/cmd/kube-proxy', making);
}

/** Path of Kubernetes' own sample of a device plugin, static, of the same version: it offers example.com/resource. */
export function sampleDevicePlugin(making: Making): Promise<string> {
  return kubernetesProgram('sample-device-plugin', 'k8s.io/kubernetes/test/images/sample-device-plugin', making);
}

async function kubernetesProgram(name: string, path: string, making: Making): Promise<string> {
  const module = PINNED_MODULES.find(({ folder }) => folder === 'kubernetes');
  if (module === undefined) throw new Error('hack/control-plane pins no Kubernetes');
  const version = await pinnedVersion(module);
  const folder = join(CONTROL_PLANE, module.folder);
  const flags = buildFlags(module, version);
  return made(
    {
      name,
      recipe: [...flags, JSON.stringify(BUILD_ENVIRONMENT), ...(await textsOf(folder))],
      what: `Building ${name} ${version} with Go (half a minute after the control plane, else 6)`,
      make: (to, signal) => goBuild(folder, [...flags, '-o', to, path], signal),
    },
    making,
  );
}

/** Path of the static device plugin that offers /dev/kmm_hello. */
export function helloDevicePlugin(making: Making): Promise<string> {
  return program({ name: 'hello-device-plugin', folder: 'hello/device-plugin', about: 'half a minute' }, making);
}

/** Path of a static CoreDNS that answers for Services. */
export function clusterDns(making: Making): Promise<string> {
  return program({ name: 'cluster-dns', folder: 'dns', about: 'a minute or two' }, making);
}

/** Paths of static programs, newer than Debian's. */
export interface ContainerRuntime {
  readonly containerd: string;
  readonly shim: string;
  readonly runc: string;
}

/** About 7 minutes with empty caches. */
export async function containerRuntime(making: Making): Promise<ContainerRuntime> {
  const module = 'github.com/containerd/containerd/v2';
  const ofContainerd = { folder: 'containerd', tags: 'no_btrfs no_devmapper no_zfs' };
  return {
    containerd: await program(
      { ...ofContainerd, name: 'containerd', path: `${module}/cmd/containerd`, about: '5 minutes' },
      making,
    ),
    shim: await program(
      {
        ...ofContainerd,
        name: 'containerd-shim',
        path: `${module}/cmd/containerd-shim-runc-v2`,
        about: 'half a minute',
      },
      making,
    ),
    runc: await program(
      {
        name: 'runc',
        folder: 'runc',
        path: 'github.com/opencontainers/runc',
        about: 'a minute',
        tags: 'seccomp netgo osusergo',
        linker: '-extldflags=-static',
        // Its first steps in a namespace are C.
        environment: { ...BUILD_ENVIRONMENT, CGO_ENABLED: '1' },
      },
      making,
    ),
  };
}

interface GoProgram {
  readonly name: string;
  /** That of its Go module, under test/e2e. */
  readonly folder: string;
  /** Of its package; that of the module itself unless given. */
  readonly path?: string;
  /** How long it takes to build with empty caches. */
  readonly about: string;
  readonly tags?: string;
  /** Flags of the linker. */
  readonly linker?: string;
  readonly environment?: Readonly<Record<string, string>>;
}

async function program(
  { name, folder, path = '.', about, tags, linker = '', environment = BUILD_ENVIRONMENT }: GoProgram,
  making: Making,
): Promise<string> {
  const module = join(E2E, folder);
  const flags = ['-trimpath', '-buildvcs=false', '-ldflags', `-s -w ${linker}`.trim()];
  if (tags !== undefined) flags.push('-tags', tags);
  return made(
    {
      name,
      recipe: [...flags, path, JSON.stringify(environment), ...(await textsOf(module))],
      what: `Building ${name} with Go (${about})`,
      make: (to, signal) => goBuild(module, [...flags, '-o', to, path], signal, environment),
    },
    making,
  );
}

async function textsOf(folder: string): Promise<readonly Buffer[]> {
  const names = (await readdir(folder)).filter((name) => /\.(go|mod|sum)$/.test(name)).sort();
  return Promise.all(names.map((name) => readFile(join(folder, name))));
}
