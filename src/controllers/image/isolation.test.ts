import { describe, expect, it } from 'vitest';
import type { Node } from '../../kube/core.ts';
import { buildIsolation, hasUserNamespaces } from './isolation.ts';

function node(kernelVersion: string, kubeletVersion: string, containerRuntimeVersion: string, arch = 'amd64'): Node {
  return {
    metadata: { name: kernelVersion, labels: { 'kubernetes.io/arch': arch, kernel: kernelVersion } },
    status: {
      nodeInfo: { kernelVersion, bootID: 'b', architecture: arch, kubeletVersion, containerRuntimeVersion },
    },
  };
}

const AMD64 = { 'kubernetes.io/arch': 'amd64' };
const ABLE = node('6.12.94+deb13-cloud-amd64', 'v1.36.3', 'containerd://2.3.7');
const OLD_KERNEL = node('6.1.0-50-cloud-amd64', 'v1.36.3', 'containerd://2.3.7');

describe('a node gives a pod with Secrets a user namespace', () => {
  it.each([
    [true, ABLE],
    [true, node('6.3.0', 'v1.33.0', 'cri-o://1.33.1')],
    [false, OLD_KERNEL],
    [false, node('6.12.0', 'v1.32.9', 'containerd://2.0.0')],
    [false, node('6.12.0', 'v1.36.3', 'containerd://1.7.27')],
    [false, node('6.12.0', 'v1.36.3', 'docker://28.0.0')],
    [false, { metadata: { name: 'new' } }],
  ])('%s', (expected, candidate) => {
    expect(hasUserNamespaces(candidate)).toBe(expected);
  });
});

describe('auto', () => {
  it('takes a user namespace where every node that the build may be put on can give one', () => {
    expect(buildIsolation('auto', '', [ABLE, node('6.1.0', 'v1.20.0', 'containerd://1.4.0', 'arm64')], AMD64)).toEqual({
      kind: 'user-namespace',
    });
  });

  it('takes a user namespace where the build’s own selector leaves only nodes that can give one', () => {
    const selector = { ...AMD64, kernel: ABLE.metadata.name ?? '' };
    expect(buildIsolation('auto', '', [ABLE, OLD_KERNEL], selector)).toEqual({ kind: 'user-namespace' });
  });

  it.each([[[ABLE, OLD_KERNEL]], [[]]])('takes the capabilities elsewhere: the scheduler does not look', (nodes) => {
    expect(buildIsolation('auto', 'kmm/build.json', nodes, AMD64)).toEqual({
      kind: 'capabilities',
      localhostSeccompProfile: 'kmm/build.json',
    });
  });

  it('is overruled by the administrator', () => {
    expect(buildIsolation('user-namespace', '', [OLD_KERNEL], AMD64)).toEqual({ kind: 'user-namespace' });
    expect(buildIsolation('capabilities', '', [ABLE], AMD64)).toEqual({ kind: 'capabilities' });
  });
});
