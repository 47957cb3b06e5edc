/** Go programs of the bed: the kubelet, out of the module that pins the control plane, and the device plugin. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { goBuild } from '../../../hack/control-plane/build.ts';
import { BUILD_ENVIRONMENT, buildFlags, PINNED_MODULES, pinnedVersion } from '../../../hack/control-plane/pins.ts';
import { type Making, made } from './cache.ts';

const CONTROL_PLANE = join(import.meta.dirname, '..', '..', '..', 'hack', 'control-plane');
const PLUGIN = join(import.meta.dirname, '..', 'hello', 'device-plugin');

/** Path of a static kubelet of the control plane's own version. */
export function kubelet(making: Making): Promise<string> {
  return kubernetesProgram('kubelet', 'k8s.io/kubernetes/cmd/kubelet', making);
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
export async function helloDevicePlugin(making: Making): Promise<string> {
  const flags = ['-trimpath', '-buildvcs=false', '-ldflags', '-s -w'];
  return made(
    {
      name: 'hello-device-plugin',
      recipe: [...flags, JSON.stringify(BUILD_ENVIRONMENT), ...(await textsOf(PLUGIN))],
      what: 'Building the device plugin with Go (half a minute)',
      make: (path, signal) => goBuild(PLUGIN, [...flags, '-o', path, '.'], signal),
    },
    making,
  );
}

async function textsOf(folder: string): Promise<readonly Buffer[]> {
  const names = (await readdir(folder)).filter((name) => /\.(go|mod|sum)$/.test(name)).sort();
  return Promise.all(names.map((name) => readFile(join(folder, name))));
}
