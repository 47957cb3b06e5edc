/** An image from a Git repository by the whole pipeline: real git over HTTPS and ssh, real buildah, Debian's docker-registry. */
import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';

import type { ImageReport } from '../../../src/build/pipeline/report.ts';
import type { BuildRequest, GitSource } from '../../../src/build/pipeline/request.ts';
import { buildFixtures, pushBaseImage } from '../../harness/build-fixtures.ts';
import { aRequest, BuildPod, type BuildRun, type MountedFiles } from '../../harness/build-tools.ts';
import { makeRepository } from '../../harness/git-repositories.ts';
import { type GitServer, startGitServer } from '../../harness/git-server.ts';
import { type RegistryServer, startRegistry } from '../../harness/registry-server.ts';
import { runOrThrow } from '../../harness/run.ts';
import { type SshServer, startSshServer } from '../../harness/ssh-server.ts';
import { testSecret } from '../../harness/test-secrets.ts';

const password = testSecret('git');

let registry: RegistryServer;
let base: string;
let kernel: string;
let root: string;
let https: GitServer;
let ssh: SshServer;

beforeAll(async () => {
  root = await realpath(await mkdtemp(join(tmpdir(), 'kmm-git-')));
  [registry, https, ssh] = await Promise.all([
    startRegistry(),
    startGitServer({ root, users: { alice: password }, tls: true }),
    startSshServer(),
  ]);
  base = await pushBaseImage(registry.host);
  ({ kernel } = await buildFixtures());
});
afterAll(async () => {
  await Promise.all([registry, https, ssh].map((server) => server?.stop()));
  await rm(root, { recursive: true, force: true });
});

const pods: BuildPod[] = [];
afterEach(async () => {
  await Promise.all(pods.splice(0).map((pod) => pod.remove()));
});

/** A repository whose driver is in a folder of its own, with a Dockerfile of another name; gives the commit. */
async function publish(name: string, edition: string): Promise<string> {
  const dockerfile = [
    `FROM ${base} AS build`,
    'COPY edition /src/edition',
    'ARG KERNEL_FULL_VERSION',
    'RUN mkdir -p /opt/lib/modules/$KERNEL_FULL_VERSION && cp /src/dummy.ko /opt/lib/modules/$KERNEL_FULL_VERSION/',
    'RUN cp /src/edition /opt/edition',
    'FROM scratch',
    'COPY --from=build /opt /opt',
  ].join('\n');
  await rm(join(root, `${name}.git`), { recursive: true, force: true });
  return makeRepository(root, `${name}.git`, {
    'driver/Containerfile': dockerfile,
    'driver/edition': edition,
    README: 'Not part of it.\n',
  });
}

const IN_FOLDER = { contextDir: 'driver', dockerfile: 'Containerfile' };

function request(name: string, git: Partial<GitSource> = {}, changes: Partial<BuildRequest> = {}): BuildRequest {
  const source: GitSource = { kind: 'git', url: `${https.url}/${name}.git`, ...IN_FOLDER, ...git };
  return aRequest(`${registry.host}/${name}:v1`, kernel, { source, ...changes });
}

function credentials(): MountedFiles {
  return { gitSecret: { username: 'alice', password }, gitCA: https.authority };
}

async function podOf(wanted: BuildRequest, mounted = credentials()): Promise<BuildPod> {
  const pod = await BuildPod.create(wanted, mounted);
  pods.push(pod);
  return pod;
}

async function run(wanted: BuildRequest, mounted = credentials()): Promise<BuildRun> {
  return (await podOf(wanted, mounted)).run();
}

function made({ report, log }: BuildRun): ImageReport {
  if (report.result === 'failed' || report.result === 'passed') throw new Error(`no image; the log: ${log}`);
  return report;
}

async function labelsOf(image: string): Promise<unknown> {
  const { stdout } = await runOrThrow('skopeo', ['inspect', '--no-tags', '--tls-verify=false', `docker://${image}`]);
  return JSON.parse(stdout).Labels;
}

test('a folder of a private repository is built, and report and label have the commit', async () => {
  const commit = await publish('private', 'one');
  const outcome = await run(request('private', { ref: 'main' }));
  const report = made(outcome);
  expect(report).toMatchObject({ result: 'built', commit, filesNumber: 1 });
  expect(await labelsOf(report.image)).toMatchObject({
    'kmm.sigs.x-k8s.io/commit': commit,
    'kmm.sigs.x-k8s.io/build-key': report.buildKey,
  });
  expect(outcome.log).toContain('COPY edition');
});

test('the same commit is not built again, by whichever name; a branch that has moved is', async () => {
  const first = await publish('moved', 'one');
  const before = made(await run(request('moved')));
  const again = await run(request('moved', { ref: 'main' }));
  expect(made(again)).toMatchObject({ result: 'present', image: before.image, commit: first });
  expect(again.log).not.toContain('STEP');
  expect(made(await run(request('moved', { ref: first }))).result).toBe('present');

  const second = await publish('moved', 'two');
  const after = made(await run(request('moved')));
  expect(after).toMatchObject({ result: 'built', commit: second });
  expect(after.buildKey).not.toBe(before.buildKey);
  expect(after.image).not.toBe(before.image);
});

test('a repository over ssh is built the same, to the same key', async () => {
  const commit = await publish('by-ssh', 'one');
  const byHttps = made(await run(request('by-ssh')));
  const url = `ssh://${ssh.user}@127.0.0.1:${ssh.port}${root}/by-ssh.git`;
  const gitSecret = { 'ssh-privatekey': ssh.privateKey, known_hosts: ssh.knownHosts };
  const report = made(
    await run(request('by-ssh', { url }, { image: `${registry.host}/by-ssh-too:v1` }), { gitSecret }),
  );
  expect(report).toMatchObject({ result: 'built', commit, buildKey: byHttps.buildKey });
});

test.each<[string, RegExp]>([
  ['the look at the commit', /Z check: begins/],
  ['the fetch', /Z source: begins/],
  ['the beginning of the build', /Z build: begins/],
  ['the upload of a kept layer', /Pushing cache/],
])('a build from Git that is killed at %s gives the same when it runs again', async (name, line) => {
  const repository = `killed-${name.replaceAll(' ', '-')}`;
  const commit = await publish(repository, 'one');
  const pod = await podOf(request(repository, {}, { cache: true }));
  await pod.killAt(line);
  const isOfLayer = (tag: string): boolean => /^[0-9a-f]{64}$/.test(tag);
  expect((await registry.tags(repository)).filter((tag) => !isOfLayer(tag))).toEqual([]);
  const report = made(await pod.run());
  expect(report).toMatchObject({ result: 'built', commit, filesNumber: 1 });
  expect((await registry.tags(repository)).filter((tag) => !isOfLayer(tag))).toEqual([
    'v1',
    `v1-${kernel}-amd64-${report.buildKey?.slice(0, 8)}`,
  ]);
});
