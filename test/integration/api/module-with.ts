/** Modules with one part of the spec replaced, also by what no type would let through. */
import type { Module } from '../../../src/api/module.ts';
import { aModule, EVERY_KERNEL } from '../../harness/modules.ts';

/** A valid Module, called m, with fields of its spec replaced; undefined takes one away. */
export function moduleWith(fields: Readonly<Record<string, unknown>>): object {
  const module: Module = aModule('m').build();
  return { ...module, spec: { ...module.spec, ...fields } };
}

export const mapping = (fields: object): object => moduleWith({ kernelMappings: [{ ...EVERY_KERNEL, ...fields }] });
export const image = (containerImage: string): object => mapping({ containerImage });
export const build = (fields: object): object => mapping({ build: fields });
export const toleration = (fields: object): object => moduleWith({ tolerations: [fields] });
export const selector = (fields: object): object => moduleWith({ selector: fields });
export const maxUnavailable = (value: unknown): object => moduleWith({ upgradePolicy: { maxUnavailable: value } });

export const volume = { name: 'firmware', emptyDir: {} };
export const mount = (key: 'moduleLoader' | 'devicePlugin', mountPath: string, name = 'firmware'): object =>
  moduleWith({
    additionalVolumes: [volume],
    [key]: { ...(key === 'devicePlugin' ? { image: 'i' } : {}), volumeMounts: [{ name, mountPath }] },
  });
