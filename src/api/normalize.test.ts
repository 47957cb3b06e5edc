import { describe, expect, it } from 'vitest';
import type { ModuleSpec } from './module.ts';
import { type NormalizedModule, normalize } from './normalize.ts';

const mapping = { literal: '6.1.0', containerImage: 'image:1' };
const minimal: ModuleSpec = { selector: {}, moduleLoader: {}, kernelMappings: [mapping] };

function supported(spec: ModuleSpec): NormalizedModule {
  const result = normalize({ spec });
  if (!result.supported) throw new Error(result.message);
  return result.spec;
}

describe('a Module in the driver container form', () => {
  it('gets every default', () => {
    expect(supported(minimal)).toEqual({
      selector: {},
      tolerations: [],
      kernelMappings: [mapping],
      loader: { container: { name: 'module-loader' }, terminationGracePeriodSeconds: 120 },
      additionalVolumes: [],
      maxUnavailable: 1,
    });
  });

  it('keeps every field of the containers but those the operator overwrites', () => {
    const { loader, devicePlugin } = supported({
      ...minimal,
      moduleLoader: {
        name: 'overwritten-anyway',
        image: 'overwritten-anyway',
        env: [{ name: 'A', value: 'b' }],
        serviceAccountName: 'loader',
        terminationGracePeriodSeconds: 7,
      },
      devicePlugin: { name: 'overwritten-anyway', image: 'plugin:1', args: ['-v'], serviceAccountName: 'plugin' },
    });
    expect(loader).toEqual({
      container: { name: 'module-loader', env: [{ name: 'A', value: 'b' }] },
      serviceAccountName: 'loader',
      terminationGracePeriodSeconds: 7,
    });
    expect(devicePlugin).toEqual({
      container: { name: 'device-plugin', image: 'plugin:1', args: ['-v'] },
      serviceAccountName: 'plugin',
    });
  });

  it('passes build and sign through as the user wrote them', () => {
    const build = { dockerfile: 'FROM x', buildArgs: [{ name: 'A', value: 'b' }] };
    const sign = { keySecret: { name: 'key' }, certSecret: { name: 'cert' } };
    const { kernelMappings } = supported({ ...minimal, kernelMappings: [{ ...mapping, build, sign }] });
    expect(kernelMappings).toEqual([{ ...mapping, build, sign }]);
  });

  it.each<[string | undefined, string | undefined]>([
    [undefined, undefined],
    ['', undefined],
    ['pull', 'pull'],
  ])('takes imageRepoSecret.name %j as %j', (name, expected) => {
    expect(supported({ ...minimal, imageRepoSecret: name === undefined ? {} : { name } }).imageRepoSecret).toBe(
      expected,
    );
  });

  it.each<[number | string | undefined, number | string]>([
    [undefined, 1],
    [3, 3],
    ['10%', '10%'],
    ['100%', '100%'],
    // What admission would refuse counts as the most careful value, never as "all nodes at once".
    [0, 1],
    [-1, 1],
    ['0%', 1],
    ['101%', 1],
    ['5', 1],
    ['all', 1],
  ])('takes maxUnavailable %j as %j', (maxUnavailable, expected) => {
    const upgradePolicy = maxUnavailable === undefined ? {} : { maxUnavailable };
    expect(supported({ ...minimal, upgradePolicy }).maxUnavailable).toBe(expected);
  });
});

describe('a Module that this release cannot act on', () => {
  it.each<[string, Partial<ModuleSpec>]>([
    ['spec.moduleLoader.container', { moduleLoader: { container: { modprobe: { moduleName: 'x' } } } }],
    ['spec.devicePlugin.container', { devicePlugin: { container: { image: 'x' } } }],
    ['spec.devicePlugin.initContainer', { devicePlugin: { initContainer: {} } }],
    ['spec.devicePlugin.volumes', { devicePlugin: { volumes: [] } }],
    ['spec.devicePlugin.automountServiceAccountToken', { devicePlugin: { automountServiceAccountToken: true } }],
    ['spec.dra', { dra: { driverName: 'x' } }],
  ])('is told so because of %s', (field, part) => {
    const result = normalize({ spec: { selector: {}, ...part } });
    expect(result).toMatchObject({ supported: false, reason: 'NotSupportedYet' });
    expect(result).toHaveProperty(
      'message',
      expect.stringMatching(new RegExp(`^${field} .* write spec.kernelMappings`)),
    );
  });

  it.each<[string, ModuleSpec]>([
    ['spec.moduleLoader', { selector: {}, kernelMappings: [mapping] }],
    ['spec.kernelMappings', { selector: {}, moduleLoader: {} }],
  ])('is told that %s is missing', (field, spec) => {
    expect(normalize({ spec })).toMatchObject({
      supported: false,
      message: expect.stringContaining(`${field} is missing`),
    });
  });
});
