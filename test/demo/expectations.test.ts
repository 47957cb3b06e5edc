import { describe, expect, it } from 'vitest';

import type { Node, Pod } from '../../src/kube/core.ts';
import { aLoader, aNode, aPlugin, aWorld, theModule } from './a-world.ts';
import {
  areLoadedWith,
  conditionIs,
  everyKernelIsLabelled,
  everyNodeIsUp,
  hasNothing,
  isLoadedWith,
  kernelIs,
  nodeNamed,
  statusCounts,
} from './expectations.ts';
import { pictureOf } from './picture.ts';

const IMAGE = 'registry/kmod:1';
const loaded = aNode('n', { module: 'loaded' });

const picture = (nodes: readonly Node[], pods: readonly Pod[] = []) => pictureOf(aWorld({ nodes, pods }));

describe('a node', () => {
  it.each<[string, Node, readonly Pod[], string | undefined]>([
    ['with loader, ready label and device plugin', loaded, [aLoader('n'), aPlugin('n')], undefined],
    ['without a loader', loaded, [aPlugin('n')], 'n has no loader pod'],
    ['with another image', loaded, [aLoader('n', { image: 'x:2' })], 'the loader on n has the image x:2'],
    ['whose loader starts', loaded, [aLoader('n', { state: 'starting' })], 'the loader on n is starting'],
    ['whose loader stops', loaded, [aLoader('n', { state: 'stopping' })], 'the loader on n is stopping'],
    ['without the ready label', aNode('n', { module: 'placed' }), [aLoader('n')], 'n has no ready label'],
    ['without a device plugin', loaded, [aLoader('n')], 'n has no device plugin'],
    [
      'whose device plugin fails',
      loaded,
      [aLoader('n'), aPlugin('n', { state: 'failing' })],
      'the device plugin on n is failing',
    ],
  ])('%s is loaded, or this is found instead', (_what, node, pods, found) => {
    expect(isLoadedWith(nodeNamed(picture([node], pods), 'n'), IMAGE)).toBe(found);
    expect(areLoadedWith(picture([node], pods), ['n'], IMAGE)).toBe(found);
  });

  it.each<[string, Node, readonly Pod[], string | undefined]>([
    ['with nothing', aNode('n'), [], undefined],
    ['with a pod', aNode('n'), [aPlugin('n')], 'n has pod device-plugin-n'],
    ['with a label', aNode('n', { module: 'placed' }), [], 'n has a label of the Module'],
  ])('%s has nothing, or this is found instead', (_what, node, pods, found) => {
    expect(hasNothing(nodeNamed(picture([node], pods), 'n'))).toBe(found);
  });

  it('that is not there is a mistake in the story', () => {
    expect(() => nodeNamed(picture([]), 'n')).toThrow('there is no node n');
  });
});

describe('all nodes', () => {
  it('are up when as many as there should be are', () => {
    expect(everyNodeIsUp(picture([loaded]), 1)).toBeUndefined();
    expect(everyNodeIsUp(picture([loaded, aNode('m', { up: false })]), 2)).toBe('1 of 2 are');
  });

  it('say their kernel in a label', () => {
    const { metadata, status } = loaded;
    const other = { metadata: { ...metadata, labels: {} }, status };
    expect(everyKernelIsLabelled(picture([loaded]))).toBeUndefined();
    expect(everyKernelIsLabelled(picture([other]))).toBe('n runs 5.4.0-1054-gke and its label says nothing');
  });
});

describe('the status', () => {
  const condition = {
    type: 'Ready',
    status: 'False' as const,
    reason: 'Loading',
    message: 'Soon.',
    lastTransitionTime: '',
  };
  const kernel = { kernelVersion: '6.1', architecture: 'amd64', nodes: 1, loaded: 0, state: 'Loading' };
  const counts = { availableNumber: 5 };
  const told = pictureOf(
    aWorld({ module: theModule({ loaded: '6/7', conditions: [condition], kernels: [kernel], devicePlugin: counts }) }),
  );
  const silent = pictureOf(aWorld({ module: theModule() }));

  it('says what is found instead of a condition', () => {
    expect(conditionIs(told, 'Ready', 'False', 'Loading')).toBeUndefined();
    expect(conditionIs(told, 'Ready', 'True', 'AllLoaded')).toBe('Ready is False, Loading: Soon.');
    expect(conditionIs(silent, 'Ready', 'True', 'AllLoaded')).toBe('there is no condition Ready');
  });

  it('says what is found instead of the state of a kernel', () => {
    expect(kernelIs(told, '6.1', 'Loading')).toBeUndefined();
    expect(kernelIs(told, '6.1', 'Loaded')).toBe('status says Loading for 6.1');
    expect(kernelIs(silent, '6.1', 'Loaded')).toBe('status says nothing for 6.1');
  });

  it('counts loaders and device plugins', () => {
    expect(statusCounts(told, { loaded: 5, of: 7 })).toBe('status says 6/7');
    expect(statusCounts(told, { loaded: 6, of: 7 })).toBe('status says 5 of the device plugin');
    expect(statusCounts(silent, { loaded: 6, of: 7 })).toBe('status says nothing');
  });
});
