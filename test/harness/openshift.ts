/** What OpenShift has and Kubernetes has not: its kinds as CRDs, and a double of the controllers that make Builds of BuildConfigs. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import {
  BUILD_CONFIGS,
  BUILDS,
  type Build,
  type BuildConfig,
  IMAGE_STREAMS,
} from '../../src/build/engines/openshift-objects.ts';
import type { KubeObject } from '../../src/kube/objects.ts';
import { apiVersionOf, type Resource } from '../../src/kube/resources.ts';
import { type AdminClient, isNotFound } from './admin.ts';
import type { Cluster } from './cluster.ts';
import type { ControlPlane } from './control-plane.ts';
import { eventually } from './eventually.ts';
import { writeKustomization } from './kustomization.ts';
import { buildOf } from './openshift-builds.ts';
import { installOperator, type OperatorOptions } from './operator.ts';

const text = { type: 'string' };
const number = { type: 'integer' };
const object = (properties: object): object => ({ type: 'object', properties });
const list = (items: object): object => ({ type: 'array', items });
const texts = { type: 'object', additionalProperties: text };
const localReference = object({ name: text });

/** The fields of CommonSpec that are used here, and no others: one that does not exist there would be pruned. */
const COMMON_SPEC = {
  serviceAccount: text,
  source: object({
    type: text,
    dockerfile: text,
    git: object({ uri: text, ref: text }),
    contextDir: text,
    sourceSecret: localReference,
  }),
  strategy: object({
    type: text,
    dockerStrategy: object({
      buildArgs: list(object({ name: text, value: text })),
      dockerfilePath: text,
      pullSecret: localReference,
      noCache: { type: 'boolean' },
      volumes: list(
        object({
          name: text,
          source: object({ type: text, secret: object({ secretName: text, optional: { type: 'boolean' } }) }),
          mounts: list(object({ destinationPath: text })),
        }),
      ),
    }),
  }),
  output: object({
    to: object({ kind: text, name: text }),
    pushSecret: localReference,
    imageLabels: list(object({ name: text, value: text })),
  }),
  resources: object({ limits: texts, requests: texts }),
  completionDeadlineSeconds: number,
  nodeSelector: texts,
  mountTrustedCA: { type: 'boolean' },
};

const SCHEMAS: readonly (readonly [Resource<KubeObject>, object])[] = [
  [
    BUILD_CONFIGS,
    {
      spec: object({
        ...COMMON_SPEC,
        triggers: list(object({ type: text })),
        runPolicy: text,
        successfulBuildsHistoryLimit: number,
        failedBuildsHistoryLimit: number,
      }),
      status: object({ lastVersion: number }),
    },
  ],
  [
    BUILDS,
    {
      spec: object({ ...COMMON_SPEC, revision: object({ type: text, git: object({ commit: text }) }) }),
      status: object({
        phase: text,
        reason: text,
        message: text,
        startTimestamp: text,
        completionTimestamp: text,
        logSnippet: text,
        outputDockerImageReference: text,
        output: object({ to: object({ imageDigest: text }) }),
        stages: list(object({ name: text, durationMilliseconds: number })),
      }),
    },
  ],
  [IMAGE_STREAMS, { spec: object({ tags: list(object({ name: text, from: object({ kind: text, name: text }) })) }) }],
];

/** The operator with its rights there as they are installed, and kinds of the same group, version and names as OpenShift's. */
export async function installOnOpenShift(controlPlane: ControlPlane): Promise<OperatorOptions> {
  await installOperator(controlPlane);
  const crds = SCHEMAS.map(([resource, properties]) => crdOf(resource, properties));
  const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'openshift' } };
  const folder = join(controlPlane.directory, 'openshift');
  await mkdir(folder, { recursive: true });
  await writeFile(
    join(folder, 'kinds.json'),
    JSON.stringify({ apiVersion: 'v1', kind: 'List', items: [namespace, ...crds] }),
  );
  await controlPlane.kubectl(['apply', '--server-side', '-f', join(folder, 'kinds.json')]);
  await writeKustomization(folder, { resources: ['rbac'], components: ['components/openshift'] });
  await controlPlane.kubectl(['apply', '--server-side', '-k', folder]);
  for (const [resource] of SCHEMAS) {
    await eventually(
      (signal) =>
        controlPlane.kubectl(['get', '--raw', `/apis/${apiVersionOf(resource)}/${resource.plural}`], { signal }),
      { what: `${resource.plural} to be served` },
    );
  }
  return {};
}

function crdOf({ group, version, kind, plural }: Resource<KubeObject>, properties: object): object {
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    // Groups that end in openshift.io are no community APIs, so nobody has to approve them.
    metadata: { name: `${plural}.${group}` },
    spec: {
      group,
      scope: 'Namespaced',
      names: { kind, plural, singular: kind.toLowerCase(), listKind: `${kind}List` },
      versions: [{ name: version, served: true, storage: true, schema: { openAPIV3Schema: object(properties) } }],
    },
  };
}

const INTERVAL_MS = 50;

/**
 * Plays OpenShift's build controllers: a BuildConfig with the trigger ConfigChange gets its first Build, once. How far a Build comes, the
 * test says. Source: github.com/openshift/openshift-controller-manager, pkg/build/controller.
 */
export class OpenShiftBuilds {
  readonly #admin: AdminClient;
  readonly #stop = new AbortController();
  #loop: Promise<void> = Promise.resolve();

  constructor({ admin }: Cluster) {
    this.#admin = admin;
  }

  start(): void {
    this.#loop = this.#run();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#loop;
  }

  configs(namespace: string): Promise<readonly BuildConfig[]> {
    return this.#admin.list(BUILD_CONFIGS, { namespace });
  }

  list(namespace: string): Promise<readonly Build[]> {
    return this.#admin.list(BUILDS, { namespace });
  }

  /** The one Build of the namespace that is none of `before`, once there is one. */
  next(namespace: string, ...before: readonly Build[]): Promise<Build> {
    const known = new Set(before.map(({ metadata }) => metadata.uid));
    return eventually(
      async () => {
        const builds = (await this.list(namespace)).filter(({ metadata }) => !known.has(metadata.uid));
        const [build] = builds;
        if (build === undefined || builds.length > 1) throw new Error(`there are ${builds.length}`);
        return build;
      },
      { what: `a Build in ${namespace}` },
    );
  }

  async run(build: Build): Promise<void> {
    await this.#write(build, { phase: 'Running', startTimestamp: now() });
  }

  async complete(build: Build, digest: string): Promise<void> {
    await this.#write(build, {
      phase: 'Complete',
      completionTimestamp: now(),
      output: { to: { imageDigest: digest } },
      stages: [{ name: 'Build', durationMilliseconds: 20_000 }],
    });
  }

  async fail(
    build: Build,
    status: { readonly reason: string; readonly message: string; readonly logSnippet?: string },
  ): Promise<void> {
    await this.#write(build, { phase: 'Failed', completionTimestamp: now(), ...status });
  }

  async #write({ metadata }: Build, status: Build['status']): Promise<void> {
    const { name = '', namespace = '' } = metadata;
    await this.#admin.patch(BUILDS, { name, namespace }, { status });
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      for (const config of await this.#admin.list(BUILD_CONFIGS)) await this.#trigger(config);
      await delay(INTERVAL_MS, undefined, { signal }).catch(() => undefined);
    }
  }

  /** OpenShift counts first and creates then. */
  async #trigger(config: BuildConfig & { readonly status?: { readonly lastVersion?: number } }): Promise<void> {
    const { metadata, spec, status } = config;
    if ((status?.lastVersion ?? 0) > 0 || !spec.triggers.some(({ type }) => type === 'ConfigChange')) return;
    const { name = '', namespace = '' } = metadata;
    try {
      await this.#admin.patch(BUILD_CONFIGS, { name, namespace }, { status: { lastVersion: 1 } });
      await this.#admin.create(BUILDS, buildOf(config));
    } catch (error) {
      // Its Module changed its mind meanwhile.
      if (!isNotFound(error)) throw error;
    }
  }
}

function now(): string {
  return `${new Date().toISOString().slice(0, 19)}Z`;
}
