import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { loaderDaemonSetName, pluginDaemonSetName } from './names.ts';

const DNS_LABEL = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
/** A pod is called after its DaemonSet with six characters more, and its name is a host name of at most 63. */
const LONGEST = 57;

const moduleName = fc.stringMatching(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/);
const identity = fc.record({ namespace: moduleName, name: moduleName });

describe('the name of a loader DaemonSet', () => {
  it('shows the Module and the kernel and ends with a hash', () => {
    const name = loaderDaemonSetName(
      { namespace: 'default', name: 'kmm-sample' },
      '5.4.0-1054-gke',
      '5.4.0-1054-gke-amd64',
    );
    expect(name).toMatch(/^kmm-sample-5-4-0-1054-gke-[0-9a-f]{8}$/);
  });

  it('is the name of an object, short enough for its pods, whatever Module and kernel are called', () => {
    fc.assert(
      fc.property(identity, fc.string({ maxLength: 300 }), fc.string({ maxLength: 63 }), (module, kernel, key) => {
        const name = loaderDaemonSetName(module, kernel, key);
        expect(name).toMatch(DNS_LABEL);
        expect(name.length).toBeLessThanOrEqual(LONGEST);
      }),
    );
  });

  it('is the same whenever it is asked for', () => {
    const module = { namespace: 'a', name: 'b' };
    expect(loaderDaemonSetName(module, 'k', 'key')).toBe(loaderDaemonSetName({ ...module }, 'k', 'key'));
  });

  it.each<[string, string, string]>([
    ['6.1.0+', '6.1.0', '+'],
    ['6.1.0_a', '6.1.0-a', '_'],
    ['6.1.0A', '6.1.0a', 'case'],
  ])('differs between kernels %s and %s although a name cannot show it (%s)', (a, b) => {
    const module = { namespace: 'a', name: 'b' };
    expect(loaderDaemonSetName(module, a, `${a}-amd64`)).not.toBe(loaderDaemonSetName(module, b, `${b}-amd64`));
  });

  it('differs between architectures, between Modules and between namespaces', () => {
    const names = [
      loaderDaemonSetName({ namespace: 'a', name: 'b' }, 'k', 'k-amd64'),
      loaderDaemonSetName({ namespace: 'a', name: 'b' }, 'k', 'k-arm64'),
      loaderDaemonSetName({ namespace: 'a', name: 'b-k' }, 'k', 'k-amd64'),
      loaderDaemonSetName({ namespace: 'b', name: 'b' }, 'k', 'k-amd64'),
    ];
    expect(new Set(names).size).toBe(names.length);
  });
});

describe('the name of a device-plugin DaemonSet', () => {
  it('shows the Module and what it is', () => {
    expect(pluginDaemonSetName({ namespace: 'default', name: 'kmm-sample' })).toMatch(
      /^kmm-sample-device-plugin-[0-9a-f]{8}$/,
    );
  });

  it('is the name of an object, short enough for its pods', () => {
    const name = pluginDaemonSetName({ namespace: 'n'.repeat(63), name: 'm'.repeat(63) });
    expect(name).toMatch(DNS_LABEL);
    expect(name.length).toBeLessThanOrEqual(LONGEST);
  });

  it('is never that of a loader, even of a kernel called device-plugin', () => {
    const module = { namespace: 'a', name: 'b' };
    expect(loaderDaemonSetName(module, 'device-plugin', '')).not.toBe(pluginDaemonSetName(module));
  });
});
