import { describe, expect, it } from 'vitest';

import { aLoader, aNode, aPlugin, aWorld, theModule } from './a-world.ts';
import { DEBIAN, FEDORA, FEDORA_IMAGE, FEDORA_IMAGE_V2, GKE, GKE_IMAGE, NEW_GKE } from './cast.ts';
import { plainText, widthOf } from './paint.ts';
import { pictureOf } from './picture.ts';
import { type Room, view } from './view.ts';
import type { World } from './world.ts';

const condition = (type: string, status: 'True' | 'False', reason: string, message: string) => ({
  type,
  status,
  reason,
  message,
  lastTransitionTime: '2026-01-01T00:00:00Z',
});

const kernel = (kernelVersion: string, state: string) => ({
  kernelVersion,
  architecture: 'amd64',
  nodes: 1,
  loaded: 0,
  state,
});

const WORLD = aWorld({
  nodes: [
    aNode('node-10', { kernel: DEBIAN }),
    aNode('node-1', { kernel: FEDORA, module: 'loaded' }),
    aNode('node-2', { kernel: FEDORA, module: 'placed', cordoned: true }),
    aNode('node-3', { kernel: GKE, module: 'loaded' }),
    aNode('node-4', { kernel: NEW_GKE }),
    aNode('node-5', { kernel: FEDORA, selected: false }),
    aNode('node-6', { kernel: GKE, up: false }),
  ],
  pods: [
    aLoader('node-1', { image: FEDORA_IMAGE_V2 }),
    aPlugin('node-1'),
    aLoader('node-2', { image: FEDORA_IMAGE, name: 'old', state: 'stopping' }),
    aLoader('node-2', { image: FEDORA_IMAGE_V2, name: 'new', state: 'starting' }),
    aLoader('node-3', { image: GKE_IMAGE }),
    aPlugin('node-3', { state: 'failing' }),
  ],
  module: theModule({
    loaded: '2/4',
    kernelsNumber: 4,
    conditions: [
      condition('Ready', 'False', 'WaitingForImage', 'Loaded on 2 of 4 nodes.'),
      condition('Progressing', 'True', 'RollingOut', '1 loader is outdated.'),
    ],
    kernels: [kernel(NEW_GKE, 'WaitingForImage'), kernel(DEBIAN, 'NoKernelMapping')],
  }),
});

const shown = (world: World, room: Room) => view(pictureOf(world), room).map(plainText);

describe('the view', () => {
  it('says of every node its kernel, image and pods, and of the Module its conditions', () => {
    expect(shown(WORLD, { columns: 130 })).toEqual([
      'NODE      KERNEL                   IMAGE                                                           LOADER      PLUGIN',
      'node-1    5.16.11-200.fc35.x86_64  quay.io/vendor/module-sample:fedora-5.16.11-200.fc35.x86_64-v2  ✓ loaded    ✓ running',
      'node-2*   5.16.11-200.fc35.x86_64  quay.io/vendor/module-sample:fedora-5.16.11-200.fc35.x86_64-v2  + starting  ·',
      'node-3    5.4.0-1054-gke           quay.io/vendor/module-sample:ubuntu-5.4.0-1054-gke              ✓ loaded    ✗ failing',
      'node-4    5.15.0-1049-gke          waits for its image                                             ·           ·',
      'node-5    5.16.11-200.fc35.x86_64  not selected                                                    ·           ·',
      'node-6    5.4.0-1054-gke           the node is not Ready                                           ·           ·',
      'node-10   6.1.0-18-amd64           no mapping matches                                              ·           ·',
      '',
      'module-sample  READY False  LOADED 2/4  KERNELS 4',
      'Ready        False   WaitingForImage: Loaded on 2 of 4 nodes.',
      'Progressing  True    RollingOut: 1 loader is outdated.',
      'Degraded     -',
    ]);
  });

  it('keeps to 80 columns by the tag of an image; of what is cut both ends are seen', () => {
    expect(shown(WORLD, { columns: 79 }).slice(0, 4)).toEqual([
      'NODE      KERNEL                  IMAGE                  LOADER      PLUGIN',
      'node-1    5.16.11-200…c35.x86_64  fedora-5.1….x86_64-v2  ✓ loaded    ✓ running',
      'node-2*   5.16.11-200…c35.x86_64  fedora-5.1….x86_64-v2  + starting  ·',
      'node-3    5.4.0-1054-gke          ubuntu-5.4.0-1054-gke  ✓ loaded    ✗ failing',
    ]);
  });

  it('shows pods by a sign alone on a narrow terminal', () => {
    expect(shown(WORLD, { columns: 50 }).slice(0, 4)).toEqual([
      'NODE      KERNEL             IMAGE            L  P',
      'node-1    5.16.11-…5.x86_64  fedora-…6_64-v2  ✓  ✓',
      'node-2*   5.16.11-…5.x86_64  fedora-…6_64-v2  +  ·',
      'node-3    5.4.0-1054-gke     ubuntu-…054-gke  ✓  ✗',
    ]);
  });

  it.each([
    [200, 60],
    [79, 23],
    [71, 18],
    [40, 12],
    [20, 6],
    [5, 2],
    [1, 1],
    [0, 0],
  ])('never takes more than %i columns and %i rows', (columns, rows) => {
    const lines = view(pictureOf(WORLD), { columns, rows });
    expect(lines.length).toBeLessThanOrEqual(rows);
    for (const line of lines) expect(widthOf(line)).toBeLessThanOrEqual(columns);
  });

  it('counts the nodes that it has no rows for, and keeps the conditions', () => {
    const lines = shown(WORLD, { columns: 79, rows: 10 });
    expect(lines).toHaveLength(10);
    expect(lines[4]).toBe('… 4 more');
    expect(lines.at(-1)).toMatch(/^Degraded/);
  });

  it('says so when there is no Module, and when one is going', () => {
    expect(shown(aWorld({ nodes: [aNode('node-1')] }), { columns: 79 }).at(-1)).toBe('There is no Module.');
    const module = theModule();
    const going = { ...module, metadata: { ...module.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' } };
    expect(shown(aWorld({ module: going }), { columns: 79 })).toContain(
      'module-sample  READY -  LOADED -  KERNELS -  being deleted',
    );
  });
});
