import { objectName, shortHash } from '../../kernel/names.ts';

interface ModuleIdentity {
  readonly namespace: string;
  readonly name: string;
}

/** Name of the loader DaemonSet of one kernel: readable, deterministic, at most 57 characters so that its pods' names stay below 63. */
export function loaderDaemonSetName(module: ModuleIdentity, kernel: string, kernelKey: string): string {
  const hash = shortHash(`module-loader/${module.namespace}/${module.name}/${kernelKey}`);
  return objectName({ parts: [module.name, kernel], hash });
}

export function pluginDaemonSetName(module: ModuleIdentity): string {
  const hash = shortHash(`device-plugin/${module.namespace}/${module.name}`);
  return objectName({ parts: [module.name, 'device-plugin'], hash });
}
