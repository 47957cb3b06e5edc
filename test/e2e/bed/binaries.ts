/** Go programs of the bed: those out of the module that pins the control plane, the device plugin, and the DNS. */
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
  return program('hello-device-plugin', join(E2E, 'hello', 'device-plugin'), 'half a minute', making);
}

/** Path of a static CoreDNS that answers for Services. */
export function clusterDns(making: Making): Promise<string> {
  return program('cluster-dns', join(E2E, 'dns'), 'a minute or two', making);
}

/** Of a folder that is a Go module of ours. */
async function program(name: string, folder: string, about: string, making: Making): Promise<string> {
  const flags = ['-trimpath', '-buildvcs=false', '-ldflags', '-s -w'];
  return made(
    {
      name,
      recipe: [...flags, JSON.stringify(BUILD_ENVIRONMENT), ...(await textsOf(folder))],
      what: `Building ${name} with Go (${about})`,
      make: (path, signal) => goBuild(folder, [...flags, '-o', path, '.'], signal),
    },
    making,
  );
}

async function textsOf(folder: string): Promise<readonly Buffer[]> {
  const names = (await readdir(folder)).filter((name) => /\.(go|mod|sum)$/.test(name)).sort();
  return Promise.all(names.map((name) => readFile(join(folder, name))));
}
