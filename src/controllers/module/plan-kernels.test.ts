import { describe, expect, it } from 'vitest';
import { aBuildPod } from '../../../test/harness/builds.ts';
import { aModule, type ModuleBuilder } from '../../../test/harness/modules.ts';
import { aNode, aSnapshot, keyOf, NOTHING_BUILT, stored } from '../../../test/harness/plan-world.ts';
import type { Module } from '../../api/module.ts';
import { planKernels, runnableImage } from './plan-kernels.ts';
import type { BuildsWorld } from './snapshot.ts';

const KERNEL = '5.4.0';
const base = aModule('m').withKernel(KERNEL, 'registry.test/m:1').withKernel('6.1.0', 'registry.test/m:2');
const NODE = aNode('n1').running(KERNEL);

const plansOf = (module: Module, ...nodes: readonly (typeof NODE)[]) =>
  planKernels(
    aSnapshot(module).build(),
    nodes.map((node) => node.build()),
  );

const inputsOf = (builder: ModuleBuilder) => plansOf(stored(builder), NODE).get(keyOf(KERNEL))?.inputs;

describe('the kernels of a Module', () => {
  it('are those that its nodes run, each once for every architecture', () => {
    const plans = plansOf(
      stored(base),
      NODE,
      aNode('n2').running(KERNEL),
      aNode('n3').running(KERNEL, 'arm64'),
      aNode('n4').running('6.1.0'),
    );
    expect([...plans.values()].map(({ kernel, arch }) => `${kernel} ${arch}`)).toEqual([
      '5.4.0 amd64',
      '5.4.0 arm64',
      '6.1.0 amd64',
    ]);
    expect(new Set([...plans.values()].map(({ daemonSetName }) => daemonSetName)).size).toBe(3);
  });

  it('are not told by nodes that have not reported one', () => {
    expect(plansOf(stored(base), aNode('n1'), aNode('n2').running(''))).toEqual(new Map());
  });

  it('each have the image of the mapping that matches', () => {
    const plan = plansOf(stored(base), aNode('n1').running('6.1.0')).get(keyOf('6.1.0'));
    expect(plan).toMatchObject({
      key: keyOf('6.1.0'),
      resolution: { kind: 'image', image: 'registry.test/m:2', mappingIndex: 1 },
      inputs: expect.stringMatching(/^[0-9a-f]{16}$/),
    });
  });

  it.each<[string, ModuleBuilder, string]>([
    ['no mapping matches', aModule('m').withKernel('6.1.0', 'registry.test/m:1'), 'no-match'],
    ['the mapping has an unknown variable', aModule('m').withKernel(KERNEL, 'registry.test/m:${NONSENSE}'), 'error'],
    [
      'the image has to be built',
      aModule('m').withMapping({
        literal: KERNEL,
        containerImage: 'registry.test/m:1',
        build: { dockerfile: 'FROM scratch' },
      }),
      'image',
    ],
    [
      'the image has to be signed',
      aModule('m').withMapping({
        literal: KERNEL,
        containerImage: 'registry.test/m:1',
        sign: { keySecret: { name: 'k' }, certSecret: { name: 'c' }, unsignedImage: 'registry.test/unsigned:1' },
      }),
      'image',
    ],
  ])('have no image to run and no inputs when %s', (_what, builder, kind) => {
    const plan = plansOf(stored(builder), NODE).get(keyOf(KERNEL));
    expect(plan?.resolution.kind).toBe(kind);
    expect(plan).not.toHaveProperty('inputs');
    expect(plan && runnableImage(plan)).toBeUndefined();
  });

  it('do not fail one another: one broken mapping leaves the other kernels theirs (I3)', () => {
    const broken = aModule('m')
      .withKernel('6.1.0', 'registry.test/m:${NONSENSE}')
      .withKernel(KERNEL, 'registry.test/m:1');
    const plans = plansOf(stored(broken), NODE, aNode('n2').running('6.1.0'));
    expect(plans.get(keyOf('6.1.0'))?.resolution.kind).toBe('error');
    expect(plans.get(keyOf(KERNEL))?.resolution.kind).toBe('image');
  });
});

describe('the image of a kernel that is built', () => {
  const asking = { literal: KERNEL, containerImage: 'registry.test/m:1', build: { dockerfile: 'FROM ${DTK_AUTO}\n' } };
  const module = stored(aModule('m').withMapping(asking));
  const node = NODE.withLabels(module.spec.selector).build();
  const wantedIn = (builds: Partial<BuildsWorld>) => {
    const snapshot = { ...aSnapshot(module).build(), nodes: [node] };
    return planKernels({ ...snapshot, builds: { ...NOTHING_BUILT, ...builds } }, [node]).get(keyOf(KERNEL))?.wanted;
  };

  it('waits with a reason for the driver toolkit that its Dockerfile asks for, and begins with it', () => {
    const missing = wantedIn({ driverToolkit: () => ({ ok: false, problem: 'no tag fits' }) });
    expect(missing).toMatchObject({
      blocked: true,
      progress: { phase: 'Queued', message: 'build.dockerfile asks for DTK_AUTO, and no tag fits' },
    });
    const found = wantedIn({ driverToolkit: () => ({ ok: true, image: 'dtk' }) });
    expect(found).not.toHaveProperty('blocked');
    expect(found?.build.request.buildArgs).toMatchObject({ DTK_AUTO: 'dtk' });
  });

  // In virtual machines, where a Module was edited to be for the other node: its new build began for the node that was left, too.
  it('is not begun for a kernel that only nodes run which the selector no longer names, and goes on where it has begun', () => {
    const wantedOn = (labels: Readonly<Record<string, string>>, records: BuildsWorld['records'] = []) => {
      const left = NODE.withLabels(labels).build();
      const snapshot = { ...aSnapshot(module).build(), nodes: [left], builds: { ...NOTHING_BUILT, records } };
      return planKernels(snapshot, [left]).get(keyOf(KERNEL))?.wanted;
    };
    expect(wantedOn(module.spec.selector)).not.toHaveProperty('blocked');
    expect(wantedOn({ pool: 'b' })).toMatchObject({
      blocked: true,
      progress: { phase: 'Queued', message: 'not built now: no node that spec.selector names runs this kernel' },
    });
    const build = wantedOn({ pool: 'b' })?.build;
    if (build === undefined) throw new Error('nothing is to be built');
    const records = [aBuildPod(build, { phase: 'Building', since: '2026-03-01T12:00:00Z' })];
    expect(wantedOn({ pool: 'b' }, records)).toMatchObject({ progress: { phase: 'Building' } });
  });

  it('goes on without the driver toolkit once it has begun: only the kernel decides it', () => {
    const build = wantedIn({})?.build;
    if (build === undefined) throw new Error('nothing is to be built');
    const records = [aBuildPod(build, { phase: 'Building', since: '2026-03-01T12:00:00Z' })];
    const wanted = wantedIn({ records, driverToolkit: () => ({ ok: false, problem: 'no tag fits' }) });
    expect(wanted).toMatchObject({ progress: { phase: 'Building' } });
  });

  it('tells why the API server refuses what comes next of it, before its first object and after', () => {
    const build = wantedIn({})?.build;
    if (build === undefined) throw new Error('nothing is to be built');
    const refusal = (key: string) => (key === build.key ? 'pods are forbidden' : undefined);
    expect(wantedIn({ refusal })?.progress).toMatchObject({ phase: 'Queued', message: 'pods are forbidden' });
    const records = [aBuildPod(build, { phase: 'Starting', since: '2026-03-01T12:00:00Z' })];
    expect(wantedIn({ refusal, records })?.progress).toMatchObject({
      phase: 'Starting',
      message: 'pods are forbidden',
    });
  });
});

describe('the inputs of a loader', () => {
  const before = inputsOf(base);

  it.each<[string, ModuleBuilder]>([
    ['its image', aModule('m').withKernel(KERNEL, 'registry.test/m:other')],
    ['its command', base.withLoader({ command: ['load'] })],
    ['its environment', base.withLoader({ env: [{ name: 'A', value: 'b' }] })],
    ['its security context', base.withLoader({ securityContext: { privileged: true } })],
    ['its ServiceAccount', base.withLoader({ serviceAccountName: 'sa' })],
    ['its time to unload', base.withLoader({ terminationGracePeriodSeconds: 7 })],
    ['the volumes', base.withVolume({ name: 'v', emptyDir: {} })],
    ['the pull secret', base.withPullSecret('s')],
  ])('change with %s', (_what, builder) => {
    expect(inputsOf(builder)).not.toBe(before);
  });

  it.each<[string, ModuleBuilder]>([
    ['the selector', base.withSelector({ a: 'b' })],
    ['the tolerations', base.withToleration({ key: 'gpu' })],
    ['the upgrade policy', base.withMaxUnavailable(5)],
    ['the device plugin', base.withDevicePlugin()],
    [
      'the mapping of another kernel',
      aModule('m').withKernel(KERNEL, 'registry.test/m:1').withKernel('6.1.0', 'registry.test/m:3'),
    ],
    [
      'another mapping that gives the same image',
      aModule('m').withMapping({ regexp: '^5', containerImage: 'registry.test/m:1' }),
    ],
    ['an image in the loader, which is overwritten', base.withLoader({ image: 'registry.test/ignored' })],
  ])('stay the same when %s changes: that rolls nothing', (_what, builder) => {
    expect(inputsOf(builder)).toBe(before);
  });

  it('are the words of the user, so that an operator which renders them differently rolls nothing (I2)', () => {
    // The hash as this version makes it. If it has to change, every loader of every user is replaced by the upgrade.
    expect(before).toBe('49e74bce6e3736bc');
  });
});
