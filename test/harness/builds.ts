/** Builds for tests of decisions: what a Module wants built, and the pods that build it. */
import type { BuildObservation, BuildRecord, ImageBuild } from '../../src/build/engines/engine.ts';
import type { ImageReport } from '../../src/build/pipeline/report.ts';
import type { DriverToolkitImage } from '../../src/controllers/image/driver-toolkit.ts';
import { type ImageBuildResult, imageBuild } from '../../src/controllers/image/image-build.ts';
import type { Mapping } from './modules.ts';
import { aModule } from './modules.ts';
import { specOf, stored } from './plan-world.ts';

export const KERNEL = '6.1.0-50-cloud-amd64';

/** A mapping that builds from an inline Dockerfile. */
export const BUILDING: Mapping = {
  literal: KERNEL,
  containerImage: 'registry.test/kmod:1',
  build: { dockerfile: 'FROM scratch\n' },
};

export interface BuildOf {
  readonly mapping?: Mapping;
  readonly kernel?: string;
  readonly arch?: string;
  readonly module?: string;
  readonly dockerfileVersion?: { readonly uid: string; readonly resourceVersion: string };
  readonly driverToolkit?: DriverToolkitImage;
}

/** The build of a Module's mapping. */
export function aBuild(of: BuildOf = {}): ImageBuild {
  const result = resultOf(of);
  if (!result.ok) throw new Error(result.problem);
  return result.build;
}

export function resultOf({
  mapping = BUILDING,
  kernel = KERNEL,
  arch = 'amd64',
  module: name = 'kmod',
  ...rest
}: BuildOf = {}): ImageBuildResult {
  const module = stored(aModule(name).withPullSecret('registry').withMapping(mapping));
  return imageBuild({
    module,
    spec: specOf(module),
    mapping,
    kernel,
    arch,
    image: mapping.containerImage ?? '',
    shared: false,
    ...rest,
  });
}

const DIGEST = `sha256:${'a'.repeat(64)}`;

export function aReport(extra: Partial<ImageReport> = {}): ImageReport {
  return {
    result: 'built',
    image: `registry.test/kmod@${DIGEST}`,
    reference: 'registry.test/kmod:1',
    buildKey: 'key',
    durations: { check: 1_000, build: 20_000 },
    ...extra,
  };
}

/** The pod of a build, in its first try unless told. */
export function aBuildPod(
  { key, name, namespace, owner, terms }: ImageBuild,
  observation: BuildObservation,
  extra: { readonly attempt?: number; readonly deleting?: boolean; readonly uid?: string } = {},
): BuildRecord {
  return {
    metadata: {
      name,
      namespace,
      uid: extra.uid ?? `uid-of-${name}`,
      ownerReferences: [owner],
      ...(extra.deleting === true ? { deletionTimestamp: '2026-03-01T12:00:00Z' } : {}),
    },
    key,
    attempt: extra.attempt ?? 1,
    terms,
    pod: name,
    parts: [],
    moduleLabel: owner.name,
    observation,
  };
}
