import { describe, expect, it } from 'vitest';
import type { ModuleStatus } from '../../api/module.ts';
import { statusWrite } from './status-write.ts';

const status = {
  observedGeneration: 1,
  conditions: [
    {
      type: 'Ready',
      status: 'True',
      lastTransitionTime: '2026-03-01T12:00:00Z',
      reason: 'AllLoaded',
      message: 'Loaded on 2 of 2 nodes.',
    },
  ],
  moduleLoader: { nodesMatchingSelectorNumber: 2, desiredNumber: 2, availableNumber: 2 },
  loaded: '2/2',
  kernelsNumber: 1,
  kernels: [
    { kernelVersion: 'k', architecture: 'amd64', image: 'i', nodes: 2, loaded: 2, state: 'Loaded', since: 's' },
  ],
} as const satisfies ModuleStatus;

const [condition] = status.conditions;
const [kernel] = status.kernels;

describe('a status is', () => {
  it('not written when nothing changed, whatever the order of its fields', () => {
    expect(statusWrite(status, structuredClone(status))).toBe('none');
    const { observedGeneration, ...rest } = status;
    expect(statusWrite({ ...rest, observedGeneration }, status)).toBe('none');
  });

  it('not written when it differs in fields that are undefined, which JSON does not hold', () => {
    expect(statusWrite(status, { ...status, devicePlugin: undefined })).toBe('none');
    expect(statusWrite({ ...status, devicePlugin: undefined }, status)).toBe('none');
  });

  it.each<[string, ModuleStatus]>([
    ['a count', { ...status, loaded: '1/2', moduleLoader: { ...status.moduleLoader, availableNumber: 1 } }],
    ['a count of a kernel', { ...status, kernels: [{ ...kernel, loaded: 1 }] }],
    ['a message', { ...status, conditions: [{ ...condition, message: 'Loaded on 1 of 2 nodes.' }] }],
    ['the message of a kernel', { ...status, kernels: [{ ...kernel, message: 'x' }] }],
    ['the number of kernels that are not listed', { ...status, kernelsOmitted: 3 }],
    ['the device plugin', { ...status, devicePlugin: { availableNumber: 1 } }],
    ['the digest of an image', { ...status, kernels: [{ ...kernel, imageDigest: 'sha256:1' }] }],
  ])('written some time when only %s changed', (_what, next) => {
    expect(statusWrite(status, next)).toBe('counts');
  });

  it.each<[string, ModuleStatus]>([
    ['the generation', { ...status, observedGeneration: 2 }],
    ['a condition', { ...status, conditions: [{ ...condition, status: 'False' }] }],
    ['the reason of a condition', { ...status, conditions: [{ ...condition, reason: 'Loading' }] }],
    ['the number of conditions', { ...status, conditions: [] }],
    ['the state of a kernel', { ...status, kernels: [{ ...kernel, state: 'Loading' }] }],
    ['the image of a kernel', { ...status, kernels: [{ ...kernel, image: 'j' }] }],
    ['the kernels', { ...status, kernels: [kernel, { ...kernel, kernelVersion: 'l' }] }],
  ])('written now when %s changed', (_what, next) => {
    expect(statusWrite(status, next)).toBe('now');
  });

  it('written now when there was none', () => {
    expect(statusWrite(undefined, status)).toBe('now');
  });
});
