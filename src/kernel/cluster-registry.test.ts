import { describe, expect, it } from 'vitest';
import { asPulled, asPushed, defaultImageTemplate, isInRegistry, pushProblem } from './cluster-registry.ts';
import { resolveKernel } from './resolve.ts';

const REGISTRY = { pullHost: '127.0.0.1:5780', pushHost: 'kmm-registry.kmm-system.svc' };
const SUBJECT = { kernel: '6.1.0+x', arch: 'amd64', module: { name: 'my.mod', namespace: 'team' } };

describe("a reference to the cluster's registry", () => {
  it.each([
    ['127.0.0.1:5780/team/kmod:1', 'kmm-registry.kmm-system.svc/team/kmod:1'],
    ['127.0.0.1:5780/team/kmod@sha256:00', 'kmm-registry.kmm-system.svc/team/kmod@sha256:00'],
  ])('%s is %s for builds, and back', (pulled, pushed) => {
    expect([asPushed(REGISTRY, pulled), asPulled(REGISTRY, pushed)]).toEqual([pushed, pulled]);
    expect([isInRegistry(REGISTRY, pulled), isInRegistry(REGISTRY, pushed)]).toEqual([true, true]);
  });

  it.each(['127.0.0.1:57800/team/kmod:1', 'quay.io/127.0.0.1:5780/kmod', 'kmod:1'])('is none in %s', (reference) => {
    expect(isInRegistry(REGISTRY, reference)).toBe(false);
    expect([asPushed(REGISTRY, reference), asPulled(REGISTRY, reference)]).toEqual([reference, reference]);
    expect(pushProblem(REGISTRY, reference, 'team')).toBeUndefined();
  });

  it.each([
    ['127.0.0.1:5780/team/kmod:1', true],
    ['kmm-registry.kmm-system.svc/team/a/b:1', true],
    ['127.0.0.1:5780/team:1', false],
    ['127.0.0.1:5780/team-b/kmod:1', false],
  ])('%s may be pushed by builds of the namespace team: %s', (reference, allowed) => {
    expect(pushProblem(REGISTRY, reference, 'team') === undefined).toBe(allowed);
  });
});

describe('a mapping without containerImage', () => {
  const defaultImage = defaultImageTemplate(REGISTRY.pullHost);

  it.each([{ build: {} }, { sign: {} }])('that makes an image (%j) gets a tag of its kernel in the registry', (how) => {
    expect(resolveKernel({ ...SUBJECT, mappings: [{ regexp: '^6', ...how }], defaultImage })).toMatchObject({
      kind: 'image',
      image: '127.0.0.1:5780/team/my.mod:6.1.0_x',
      needsBuild: true,
    });
  });

  it('is an error where the cluster serves no registry, and says both cures', () => {
    expect(resolveKernel({ ...SUBJECT, mappings: [{ regexp: '^6', build: {} }] })).toMatchObject({
      kind: 'error',
      message: expect.stringMatching(/containerImage: write where .* pushed, or .*--registry-pull-host/),
    });
  });

  it('is an error where it makes none, registry or not', () => {
    expect(resolveKernel({ ...SUBJECT, mappings: [{ regexp: '^6' }], defaultImage })).toMatchObject({ kind: 'error' });
  });
});
