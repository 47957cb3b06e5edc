import type { KernelMapping } from '../kernel/mapping.ts';
import type { Container, Toleration, Volume } from '../kube/core.ts';
import type { Build, Sign } from './build-schema.ts';
import { DEVICE_PLUGIN_ROLE, MODULE_LOADER_ROLE } from './labels.ts';
import type { DeepReadonly, Module, ModuleSpec } from './module.ts';

/** A mapping with what only the image side reads. */
export interface NormalizedMapping extends KernelMapping {
  readonly build?: DeepReadonly<Build>;
  readonly sign?: DeepReadonly<Sign>;
}

/** What a Module asks for, whichever form it was written in. */
export interface NormalizedModule {
  readonly selector: Readonly<Record<string, string>>;
  readonly tolerations: readonly Toleration[];
  readonly kernelMappings: readonly NormalizedMapping[];
  readonly loader: {
    /** The user's container under our name, without an image: that comes from the mapping. */
    readonly container: Container;
    readonly serviceAccountName?: string;
    readonly terminationGracePeriodSeconds: number;
  };
  readonly devicePlugin?: { readonly container: Container; readonly serviceAccountName?: string };
  readonly additionalVolumes: readonly Volume[];
  readonly imageRepoSecret?: string;
  /** A number that is changed to have images checked and built again. */
  readonly rebuildTrigger?: number;
  readonly maxUnavailable: number | `${number}%`;
}

export type Normalization =
  | { readonly supported: true; readonly spec: NormalizedModule }
  | { readonly supported: false; readonly reason: 'NotSupportedYet'; readonly message: string };

/** Unloading may have to wait for users of the device; Kubernetes' own default of 30 s is too short for that. */
const DEFAULT_TERMINATION_GRACE_PERIOD_SECONDS = 120;
const DEFAULT_MAX_UNAVAILABLE = 1;

/**
 * Turns either form of a Module into what the controllers work from. Behind it nobody knows which form the user wrote.
 *
 * Admission refuses what this cannot read, but a Module may be older than the CRD: what it does not find it reports, never throws.
 */
export function normalize(module: Pick<Module, 'spec'>): Normalization {
  const { spec } = module;
  const unsupported = unsupportedField(spec);
  if (unsupported !== undefined) {
    return {
      supported: false,
      reason: 'NotSupportedYet',
      message:
        `${unsupported} belongs to the modprobe form of KMM 2.x, which this release stores but does not act on yet; ` +
        'write spec.kernelMappings and spec.moduleLoader as a container that loads the module',
    };
  }
  if (spec.moduleLoader === undefined || spec.kernelMappings === undefined) {
    const missing = spec.moduleLoader === undefined ? 'spec.moduleLoader' : 'spec.kernelMappings';
    return {
      supported: false,
      reason: 'NotSupportedYet',
      message: `${missing} is missing: this release needs both spec.moduleLoader and spec.kernelMappings`,
    };
  }
  return { supported: true, spec: driverContainerForm(spec, spec.moduleLoader, spec.kernelMappings) };
}

/** The first key that only the modprobe form has. */
function unsupportedField({ moduleLoader, devicePlugin, dra }: ModuleSpec): string | undefined {
  if (moduleLoader?.container !== undefined) return 'spec.moduleLoader.container';
  if (devicePlugin?.container !== undefined) return 'spec.devicePlugin.container';
  if (devicePlugin?.initContainer !== undefined) return 'spec.devicePlugin.initContainer';
  if (devicePlugin?.volumes !== undefined) return 'spec.devicePlugin.volumes';
  if (devicePlugin?.automountServiceAccountToken !== undefined) return 'spec.devicePlugin.automountServiceAccountToken';
  return dra === undefined ? undefined : 'spec.dra';
}

function driverContainerForm(
  spec: ModuleSpec,
  moduleLoader: NonNullable<ModuleSpec['moduleLoader']>,
  kernelMappings: NonNullable<ModuleSpec['kernelMappings']>,
): NormalizedModule {
  // The image goes too: a user's placeholder there must not count as an input whose change rolls pods.
  const {
    image: _overwritten,
    container: _otherForm,
    serviceAccountName,
    terminationGracePeriodSeconds,
    ...container
  } = moduleLoader;
  const imageRepoSecret = spec.imageRepoSecret?.name;
  return {
    selector: spec.selector,
    tolerations: spec.tolerations ?? [],
    kernelMappings,
    loader: {
      container: { ...container, name: MODULE_LOADER_ROLE },
      ...named(serviceAccountName),
      terminationGracePeriodSeconds: terminationGracePeriodSeconds ?? DEFAULT_TERMINATION_GRACE_PERIOD_SECONDS,
    },
    ...(spec.devicePlugin === undefined ? {} : { devicePlugin: devicePlugin(spec.devicePlugin) }),
    additionalVolumes: spec.additionalVolumes ?? [],
    ...(imageRepoSecret === undefined || imageRepoSecret === '' ? {} : { imageRepoSecret }),
    ...(spec.imageRebuildTriggerGeneration === undefined ? {} : { rebuildTrigger: spec.imageRebuildTriggerGeneration }),
    maxUnavailable: maxUnavailable(spec.upgradePolicy?.maxUnavailable),
  };
}

function devicePlugin(plugin: NonNullable<ModuleSpec['devicePlugin']>): NonNullable<NormalizedModule['devicePlugin']> {
  const {
    container: _otherForm,
    initContainer: _init,
    volumes: _volumes,
    automountServiceAccountToken: _automount,
    serviceAccountName,
    ...container
  } = plugin;
  return { container: { ...container, name: DEVICE_PLUGIN_ROLE }, ...named(serviceAccountName) };
}

function named(serviceAccountName: string | undefined): { readonly serviceAccountName?: string } {
  return serviceAccountName === undefined || serviceAccountName === '' ? {} : { serviceAccountName };
}

/** A value that admission would refuse counts as the default, the most careful one. */
function maxUnavailable(value: number | string | undefined): number | `${number}%` {
  if (typeof value === 'number') return value >= 1 ? Math.trunc(value) : DEFAULT_MAX_UNAVAILABLE;
  const percent = /^([1-9][0-9]?|100)%$/.exec(value ?? '')?.[1];
  return percent === undefined ? DEFAULT_MAX_UNAVAILABLE : `${Number(percent)}%`;
}
