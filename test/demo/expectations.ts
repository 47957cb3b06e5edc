/** What the story expects of the cluster. Each gives what is found instead, or undefined when all is as expected. Pure. */
import type { NodePicture, Picture } from './picture.ts';

export type Found = string | undefined;

/** The first that is not as expected. */
export function firstOf(...found: readonly Found[]): Found {
  return found.find((each) => each !== undefined);
}

export function nodeNamed({ nodes }: Picture, name: string): NodePicture {
  const node = nodes.find((each) => each.name === name);
  if (node === undefined) throw new Error(`there is no node ${name}`);
  return node;
}

export function everyNodeIsUp({ nodes }: Picture, count: number): Found {
  const up = nodes.filter((node) => node.up).length;
  return up === count ? undefined : `${up} of ${count} are`;
}

/** The demo's kernels are all valid label values, so the label says just what the node reports. */
export function everyKernelIsLabelled({ nodes }: Picture): Found {
  const wrong = nodes.find(({ kernel, kernelLabel }) => kernelLabel !== kernel);
  return wrong && `${wrong.name} runs ${wrong.kernel} and its label says ${wrong.kernelLabel ?? 'nothing'}`;
}

/** The module is in, by a loader with this image, and the device plugin runs. */
export function isLoadedWith(node: NodePicture, image: string): Found {
  const { name, loader, plugin } = node;
  if (loader === undefined) return `${name} has no loader pod`;
  if (loader.image !== image) return `the loader on ${name} has the image ${loader.image}`;
  if (loader.state !== 'running') return `the loader on ${name} is ${loader.state}`;
  if (!node.loaded) return `${name} has no ready label`;
  if (plugin === undefined) return `${name} has no device plugin`;
  return plugin.state === 'running' ? undefined : `the device plugin on ${name} is ${plugin.state}`;
}

export function areLoadedWith(picture: Picture, names: readonly string[], image: string): Found {
  return firstOf(...names.map((name) => isLoadedWith(nodeNamed(picture, name), image)));
}

export function hasNothing({ name, placed, loaded, loader, plugin }: NodePicture): Found {
  if (loader !== undefined || plugin !== undefined) return `${name} has pod ${(loader ?? plugin)?.name}`;
  return placed || loaded ? `${name} has a label of the Module` : undefined;
}

export function kernelIs({ module }: Picture, kernel: string, state: string): Found {
  const entry = module?.status?.kernels?.find(({ kernelVersion }) => kernelVersion === kernel);
  return entry?.state === state ? undefined : `status says ${entry?.state ?? 'nothing'} for ${kernel}`;
}

/** Counts are gathered for a moment before they are written: with these, the operator has nothing more to say. */
export function statusCounts({ module }: Picture, count: { readonly loaded: number; readonly of: number }): Found {
  const { loaded, devicePlugin } = module?.status ?? {};
  const expected = `${count.loaded}/${count.of}`;
  if (loaded !== expected) return `status says ${loaded ?? 'nothing'}`;
  const plugins = devicePlugin?.availableNumber;
  return plugins === count.loaded ? undefined : `status says ${plugins ?? 'nothing'} of the device plugin`;
}

export function conditionIs({ module }: Picture, type: string, status: string, reason: string): Found {
  const condition = module?.status?.conditions?.find((each) => each.type === type);
  if (condition === undefined) return `there is no condition ${type}`;
  if (condition.status === status && condition.reason === reason) return undefined;
  return `${type} is ${condition.status}, ${condition.reason}: ${condition.message}`;
}
