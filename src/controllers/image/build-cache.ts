import type { BuildEngine, BuildPart, BuildRecord } from '../../build/engines/engine.ts';
import type { KubeClient } from '../../kube/client.ts';
import type { InformerObserver } from '../../kube/informer.ts';
import { followNamespaces, type ObjectCache } from '../../kube/namespaced-informers.ts';
import type { KubeObject } from '../../kube/objects.ts';
import type { Change } from '../../kube/replica.ts';
import type { Resource } from '../../kube/resources.ts';

const BY_MODULE = 'module';

export interface BuildCacheOptions {
  readonly engine: BuildEngine;
  /** Those whose Modules are ours; empty for all. */
  readonly namespaces: readonly string[];
  readonly observer?: InformerObserver;
}

/** The objects of an engine's kinds, and the builds that they amount to. */
export class BuildCache {
  readonly #engine: BuildEngine;
  readonly #informers: ReadonlyMap<string, ObjectCache<KubeObject, BuildPart>>;

  constructor(client: KubeClient, { engine, namespaces, observer }: BuildCacheOptions) {
    this.#engine = engine;
    this.#informers = new Map(
      engine.kinds.map((kind) => [
        kind.name,
        followNamespaces<KubeObject, BuildPart>(
          {
            client,
            resource: kind.resource,
            labelSelector: kind.labelSelector,
            transform: (object: KubeObject) => kind.read(object),
            ...(observer === undefined ? {} : { observer }),
          },
          namespaces,
        ),
      ]),
    );
    for (const { store } of this.#informers.values()) store.addIndex(BY_MODULE, (part) => [moduleOf(part)]);
  }

  /** By the name of the kind. */
  get informers(): ReadonlyMap<string, ObjectCache<KubeObject, BuildPart>> {
    return this.#informers;
  }

  /** The builds of a Module. @param module `namespace/<label-safe name>` */
  of(module: string): readonly BuildRecord[] {
    return this.#engine.observe(this.#all().flatMap(({ store }) => [...store.byIndex(BY_MODULE, module)]));
  }

  all(): readonly BuildRecord[] {
    const modules = new Set(this.#all().flatMap(({ store }) => store.list().map(moduleOf)));
    return [...modules].flatMap((module) => this.of(module));
  }

  onChange(listener: (change: Change<BuildPart>) => void): void {
    for (const informer of this.#all()) informer.onChange(listener);
  }

  /** The server's answer to a write of ours. */
  absorb(resource: Resource<KubeObject>, object: KubeObject): void {
    const index = this.#engine.kinds.findIndex((kind) => kind.resource === resource);
    this.#all()[index]?.absorb(object);
  }

  #all(): readonly ObjectCache<KubeObject, BuildPart>[] {
    return [...this.#informers.values()];
  }
}

function moduleOf({ metadata, moduleLabel }: BuildPart): string {
  return `${metadata.namespace ?? ''}/${moduleLabel}`;
}
