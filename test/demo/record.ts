import { isLoader, nodeOf, pictureOf } from './picture.ts';
import type { Change, World } from './world.ts';

/**
 * What happened to loaders while somebody looked at every change: a violation that lasts for a moment is seen too, which
 * looking at the end, or now and then, would miss.
 */
export class LoaderRecord {
  /** The most nodes that were meant to have the module and did not, at any moment. */
  mostWithout = 0;
  /** Nodes whose loader went away, in that order. */
  readonly unloaded: string[] = [];
  /** Nodes whose loader was taken while a device plugin was still there. */
  readonly pluginsLeftBehind: string[] = [];
  #loaders: ReadonlyMap<string, string> = new Map();

  constructor(world: World) {
    this.#loaders = standingLoaders(world);
  }

  see(change: Change | undefined, world: World): void {
    if (change === undefined || change.kind === 'nodes') {
      const without = pictureOf(world).nodes.filter(({ placed, loaded }) => placed && !loaded).length;
      this.mostWithout = Math.max(this.mostWithout, without);
    }
    if (change === undefined || change.kind === 'pods') this.#seePods(world);
  }

  #seePods(world: World): void {
    const loaders = standingLoaders(world);
    for (const [key, node] of this.#loaders) {
      if (loaders.has(key)) continue;
      this.unloaded.push(node);
      const { plugin } = pictureOf(world).nodes.find(({ name }) => name === node) ?? {};
      if (plugin !== undefined) this.pluginsLeftBehind.push(node);
    }
    this.#loaders = loaders;
  }
}

/** Loader pods that nobody has begun to stop, with their nodes. */
function standingLoaders({ pods }: World): ReadonlyMap<string, string> {
  const loaders = [...pods].filter(([, pod]) => isLoader(pod) && pod.metadata.deletionTimestamp === undefined);
  return new Map(loaders.map(([key, pod]) => [key, nodeOf(pod) ?? '']));
}
