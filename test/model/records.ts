/** Records of simulated objects, each made once: objects are replaced, never changed, so an object's identity says whether it is known. */
import type { Module } from '../../src/api/module.ts';
import {
  type DaemonSetRecord,
  type PodRecord,
  trimDaemonSet,
  trimModule,
  trimNode,
  trimPod,
} from '../../src/controllers/records.ts';
import type { DaemonSet, Node, Pod } from '../../src/kube/core.ts';

export const podRecord: (pod: Pod) => PodRecord = remembering(trimPod);
export const nodeRecord: (node: Node) => Node = remembering(trimNode);
export const daemonSetRecord: (daemonSet: DaemonSet) => DaemonSetRecord = remembering(trimDaemonSet);
export const moduleRecord: (module: Module) => Module = remembering(trimModule);

export function remembering<From extends object, To>(make: (from: From) => To): (from: From) => To {
  const made = new WeakMap<From, { readonly value: To }>();
  return (from) => {
    const known = made.get(from);
    if (known !== undefined) return known.value;
    const value = make(from);
    made.set(from, { value });
    return value;
  };
}
