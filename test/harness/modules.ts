/** Modules for tests: a builder whose every step reads like the sentence it tests, and the CRD that they need. */
import { fileURLToPath } from 'node:url';

import type { Module, ModuleSpec } from '../../src/api/module.ts';
import { MODULES } from '../../src/api/module.ts';
import type { Toleration, Volume } from '../../src/kube/core.ts';
import { apiVersionOf } from '../../src/kube/resources.ts';
import type { ControlPlane } from './control-plane.ts';
import { eventually } from './eventually.ts';

export type Mapping = NonNullable<ModuleSpec['kernelMappings']>[number];
export type LoaderFields = NonNullable<ModuleSpec['moduleLoader']>;
export type PluginFields = NonNullable<ModuleSpec['devicePlugin']>;

/** Key of the node label that a Module of the builder selects unless told otherwise; its value is the Module's name. */
const NODES_OF_LABEL = 'test.kmm.sigs.x-k8s.io/nodes-of';

/** Maps every kernel to an image of its own: what a Module of the builder has when no mapping was given. */
export const EVERY_KERNEL: Mapping = {
  regexp: '^.+$',
  containerImage: 'registry.test/kmod:${KERNEL_FULL_VERSION}',
};

/**
 * A valid Module in the driver container form: an empty loader, one mapping that matches every kernel, and a selector
 * that no node has until a test labels it (nodesOf), because an empty one would take the nodes of other tests too.
 */
export function aModule(name: string): ModuleBuilder {
  return new ModuleBuilder({ name }, { selector: nodesOf(name), moduleLoader: {} });
}

/** The labels that put a node under the Module `name` of the builder. */
export function nodesOf(name: string): Readonly<Record<string, string>> {
  return { [NODES_OF_LABEL]: name };
}

/** Every step gives a new builder: a base that several tests share is never changed by one of them. */
export class ModuleBuilder {
  readonly #metadata: Module['metadata'];
  readonly #spec: ModuleSpec;

  constructor(metadata: Module['metadata'], spec: ModuleSpec) {
    this.#metadata = metadata;
    this.#spec = spec;
  }

  inNamespace(namespace: string): ModuleBuilder {
    return new ModuleBuilder({ ...this.#metadata, namespace }, this.#spec);
  }

  withSelector(selector: Readonly<Record<string, string>>): ModuleBuilder {
    return this.withSpec({ selector });
  }

  /** One more mapping, after those that are there. */
  withMapping(mapping: Mapping): ModuleBuilder {
    return this.withSpec({ kernelMappings: [...(this.#spec.kernelMappings ?? []), mapping] });
  }

  /** A mapping of exactly this kernel release, after those that are there. */
  withKernel(literal: string, containerImage: string): ModuleBuilder {
    return this.withMapping({ literal, containerImage });
  }

  /** Fields of the loader beside those that are there. */
  withLoader(fields: LoaderFields): ModuleBuilder {
    return this.withSpec({ moduleLoader: { ...this.#spec.moduleLoader, ...fields } });
  }

  withDevicePlugin(fields: PluginFields = { image: 'registry.test/device-plugin:1' }): ModuleBuilder {
    return this.withSpec({ devicePlugin: { ...this.#spec.devicePlugin, ...fields } });
  }

  withVolume(...volumes: readonly Volume[]): ModuleBuilder {
    return this.withSpec({ additionalVolumes: [...(this.#spec.additionalVolumes ?? []), ...volumes] });
  }

  withToleration(...tolerations: readonly Toleration[]): ModuleBuilder {
    return this.withSpec({ tolerations: [...(this.#spec.tolerations ?? []), ...tolerations] });
  }

  withPullSecret(name: string): ModuleBuilder {
    return this.withSpec({ imageRepoSecret: { name } });
  }

  withMaxUnavailable(maxUnavailable: number | string): ModuleBuilder {
    return this.withSpec({ upgradePolicy: { maxUnavailable } });
  }

  /** Fields of the spec in the place of those that are there. */
  withSpec(fields: Partial<ModuleSpec>): ModuleBuilder {
    return new ModuleBuilder(this.#metadata, { ...this.#spec, ...fields });
  }

  build(): Module & { readonly apiVersion: string; readonly kind: string } {
    const kernelMappings = this.#spec.kernelMappings ?? [EVERY_KERNEL];
    return {
      apiVersion: apiVersionOf(MODULES),
      kind: MODULES.kind,
      metadata: this.#metadata,
      spec: { ...this.#spec, kernelMappings },
    };
  }
}

const CRD_FOLDER = fileURLToPath(new URL('../../config/crd', import.meta.url));

const installed = new Map<string, Promise<void>>();

/**
 * Installs config/crd as users do and returns when Modules are served; once for each control plane and test process.
 *
 * Test files that run at the same time may both apply it: the second apply changes nothing.
 */
export function installCrd({ controlPlane }: { readonly controlPlane: ControlPlane }): Promise<void> {
  const known = installed.get(controlPlane.directory);
  if (known !== undefined) return known;
  const installing = applyCrd(controlPlane);
  installed.set(controlPlane.directory, installing);
  return installing;
}

async function applyCrd(controlPlane: ControlPlane): Promise<void> {
  await controlPlane.kubectl(['apply', '--server-side', '-k', CRD_FOLDER]);
  // Not `kubectl wait`: it fails on a CRD that is so new that it has no conditions.
  const modules = `/apis/${apiVersionOf(MODULES)}/${MODULES.plural}`;
  await eventually((signal) => controlPlane.kubectl(['get', '--raw', modules], { signal }), {
    what: 'Modules to be served',
  });
}
