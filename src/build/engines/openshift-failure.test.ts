import { describe, expect, it } from 'vitest';
import { aBuild } from '../../../test/harness/builds.ts';
import { buildOf, created } from '../../../test/harness/openshift-builds.ts';
import { buildConfig } from './openshift-build-config.ts';
import { failureOfBuild } from './openshift-failure.ts';
import type { Build } from './openshift-objects.ts';

function failed(status: NonNullable<Build['status']>) {
  return failureOfBuild({
    ...created(buildOf(created(buildConfig(aBuild()), 'c')), 'b'),
    status: {
      phase: 'Failed',
      startTimestamp: '2026-03-01T12:00:00Z',
      completionTimestamp: '2026-03-01T12:05:00Z',
      ...status,
    },
  });
}

describe('a Build that failed', () => {
  it('in the Dockerfile tells the step and where its log is, and is the user’s to mend', () => {
    const logSnippet = [
      "hello.c:3:1: error: expected ';'",
      'error: build error: building at STEP "RUN make": while running runtime: exit status 2',
    ].join('\n');
    expect(
      failed({ reason: 'DockerBuildFailed', message: 'Dockerfile build strategy has failed.', logSnippet }),
    ).toEqual({
      phase: 'Failed',
      at: '2026-03-01T12:05:00Z',
      blame: 'user',
      step: 'build',
      message: expect.stringMatching(
        /^The step "RUN make" of the Dockerfile fails with exit status 2\. Correct it; .* \(its log: oc logs --namespace=kmm-test build\/kmod-build-\S+\)$/,
      ),
    });
  });

  it.each([
    ['fails', 'DockerBuildFailed', 'error: build error: building at STEP "RUN make": exit status 2'],
    ['reaches nothing', 'DockerBuildFailed', 'error: build error: building at STEP "RUN curl": exit status 6'],
    ['is the last to print', 'DockerBuildFailed', 'Could not resolve host: hunter22'],
    ['prints while nothing is known of it', 'GenericBuildFailed', 'hunter22'],
    ['prints before the image is pushed', 'PushImageToRegistryFailed', 'error: unauthorized: authentication required'],
  ])('tells nothing of what a command prints that %s: nobody took the secrets out', (_, reason, end) => {
    const lines = ['curl: (6) Could not resolve host: hunter22', 'error: the token hunter22 is wrong', end];
    const failure = failed({ reason, message: 'words', logSnippet: lines.join('\n') });
    expect(JSON.stringify(failure)).not.toContain('hunter22');
    expect(failure.message).toContain('oc logs');
  });

  it.each([
    [
      'DockerBuildFailed',
      'infrastructure',
      'Could not resolve host: mirror.test\nerror: build error: building at STEP "RUN dnf install -y gcc": exit status 1',
    ],
    ['DockerBuildFailed', 'user', ''],
    ['FetchSourceFailed', 'infrastructure', ''],
    ['FetchSourceFailed', 'user', "fatal: Authentication failed for 'https://git.test/kmod.git/'"],
    ['PushImageToRegistryFailed', 'infrastructure', ''],
    ['PushImageToRegistryFailed', 'infrastructure', 'received unexpected HTTP status: 503 Service Unavailable'],
    ['PushImageToRegistryFailed', 'user', 'unauthorized: authentication required'],
    ['PullBuilderImageFailed', 'infrastructure', ''],
    ['ManageDockerfileFailed', 'user', ''],
    ['InvalidContextDirectory', 'user', ''],
    ['OutOfMemoryKilled', 'user', ''],
    ['BuildPodEvicted', 'infrastructure', ''],
    ['BuildPodDeleted', 'infrastructure', ''],
    ['GenericBuildFailed', 'infrastructure', ''],
    ['NobodyKnowsThisOne', 'infrastructure', ''],
  ])('for %s is to be blamed on: %s (%j)', (reason, blame, logSnippet) => {
    expect(failed({ reason, message: 'words', ...(logSnippet === '' ? {} : { logSnippet }) })).toMatchObject({ blame });
  });

  it('by its deadline says which field to raise', () => {
    expect(failed({ reason: 'GenericBuildFailed', completionTimestamp: '2026-03-01T13:00:01Z' })).toMatchObject({
      blame: 'user',
      message: expect.stringContaining('build.timeout'),
    });
  });

  it('because somebody cancelled it is not begun again by itself', () => {
    expect(failed({ phase: 'Cancelled', reason: 'CancelledBuild' })).toMatchObject({
      blame: 'user',
      message: expect.stringContaining('imageRebuildTriggerGeneration'),
    });
  });

  it('in a way that is not known gives OpenShift’s own words', () => {
    expect(failed({ phase: 'Error', reason: 'CannotCreateBuildPod', message: 'quota exceeded' }).message).toContain(
      'CannotCreateBuildPod: quota exceeded',
    );
  });
});
