/** What a build makes and what it leaves alone, with real buildah against Debian's docker-registry; killed at every step, and run again. */
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';

import type { FailureReport, ImageReport } from '../../../src/build/pipeline/report.ts';
import type { BuildRequest } from '../../../src/build/pipeline/request.ts';
import { buildFixtures, pushBaseImage } from '../../harness/build-fixtures.ts';
import { aRequest, BuildPod, type BuildRun, type MountedFiles } from '../../harness/build-tools.ts';
import { PROGRAM } from '../../harness/program.ts';
import { FaultyProxy, type RegistryServer, startRegistry } from '../../harness/registry-server.ts';
import { runOrThrow, run as runTool } from '../../harness/run.ts';
import { makeSignKeys } from '../../harness/sign-keys.ts';
import { testSecret } from '../../harness/test-secrets.ts';

const USER = { name: 'robot', password: testSecret('registry') };

let registry: RegistryServer;
let base: string;
let kernel: string;

beforeAll(async () => {
  registry = await startRegistry();
  base = await pushBaseImage(registry.host);
  ({ kernel } = await buildFixtures());
});

afterAll(async () => {
  await registry?.stop();
});

const pods: BuildPod[] = [];
afterEach(async () => {
  await Promise.all(pods.splice(0).map((pod) => pod.remove()));
});

const COPY =
  'mkdir -p /opt/lib/modules/$KERNEL_FULL_VERSION && cp /src/dummy.ko /opt/lib/modules/$KERNEL_FULL_VERSION/';

/** An image with nothing but the module, made in a stage that also does `extra`, before the kernel is an argument. */
function dockerfile(...extra: readonly string[]): string {
  return [
    `FROM ${base} AS build`,
    ...extra,
    'ARG KERNEL_FULL_VERSION',
    `RUN ${COPY}`,
    'FROM scratch',
    'COPY --from=build /opt /opt',
  ].join('\n');
}

function inline(...extra: readonly string[]): Partial<BuildRequest> {
  return { source: { kind: 'inline', dockerfile: dockerfile(...extra) } };
}

function request(repository: string, changes: Partial<BuildRequest> = {}): BuildRequest {
  return aRequest(`${registry.host}/${repository}`, kernel, { ...inline(), ...changes });
}

async function podOf(wanted: BuildRequest, mounted: MountedFiles = {}): Promise<BuildPod> {
  const pod = await BuildPod.create(wanted, mounted);
  pods.push(pod);
  return pod;
}

async function run(wanted: BuildRequest, mounted: MountedFiles = {}): Promise<BuildRun> {
  return (await podOf(wanted, mounted)).run();
}

function made(outcome: BuildRun): ImageReport {
  if (outcome.report.result === 'failed' || outcome.report.result === 'passed')
    throw new Error(`no image; the log: ${outcome.log}`);
  return outcome.report;
}

function failed(outcome: BuildRun): FailureReport {
  if (outcome.report.result !== 'failed') throw new Error(`it did not fail; the log: ${outcome.log}`);
  return outcome.report;
}

interface Inspected {
  readonly Digest: string;
  readonly Labels: Readonly<Record<string, string>> | null;
}

async function inspect(reference: string): Promise<Inspected> {
  const { stdout } = await runOrThrow('skopeo', [
    'inspect',
    '--no-tags',
    '--tls-verify=false',
    `docker://${reference}`,
  ]);
  const value: Inspected = JSON.parse(stdout);
  return value;
}

test('an image tells of its making: key, kernel, architecture and modules are labels, and its digest is that of the report', async () => {
  const report = made(await run(request('labels:v1')));
  const { Digest, Labels } = await inspect(`${registry.host}/labels:v1`);
  expect(report.image).toBe(`${registry.host}/labels@${Digest}`);
  expect(Labels).toMatchObject({
    'kmm.sigs.x-k8s.io/build-key': report.buildKey,
    'kmm.sigs.x-k8s.io/kernel': kernel,
    'kmm.sigs.x-k8s.io/arch': 'amd64',
  });
  expect(JSON.parse(Labels?.['kmm.sigs.x-k8s.io/module-files'] ?? '')).toEqual(report.files);
  expect(report.files).toEqual([
    {
      path: `/opt/lib/modules/${kernel}/dummy.ko`,
      vermagic: expect.stringContaining(kernel),
      signer: expect.any(String),
    },
  ]);
});

test('an image that is there without a build key is a vendor’s: it is taken, and stays as it is', async () => {
  await pushBaseImage(registry.host, 'vendor:v1');
  const before = await inspect(`${registry.host}/vendor:v1`);
  const report = made(await run(request('vendor:v1')));
  expect(report).toMatchObject({ result: 'vendor', image: `${registry.host}/vendor@${before.Digest}` });
  expect(report.buildKey).toBeUndefined();
  expect(await registry.tags('vendor')).toEqual(['v1']);
});

test('an image of another key is built anew, and the older stays under its own tag', async () => {
  const first = made(await run(request('anew:v1')));
  const second = made(await run(request('anew:v1', { trigger: 1 })));
  expect(second.result).toBe('built');
  expect(second.buildKey).not.toBe(first.buildKey);
  expect(await registry.tags('anew')).toHaveLength(3);
  expect((await inspect(`${registry.host}/anew:v1`)).Digest).toBe(second.image.split('@')[1]);
});

test('going back to what was built before builds nothing: the user’s tag is set to the older image', async () => {
  const first = made(await run(request('back:v1')));
  await run(request('back:v1', { trigger: 1 }));
  const again = await run(request('back:v1'));
  expect(made(again)).toMatchObject({ result: 'present', image: first.image, reference: `${registry.host}/back:v1` });
  expect(again.log).not.toContain('STEP');
  expect((await inspect(`${registry.host}/back:v1`)).Digest).toBe(first.image.split('@')[1]);
});

test('a reference that several kernels share is never written, whoever wrote it before, and each kernel finds its own again', async () => {
  await pushBaseImage(registry.host, 'shared:gke');
  const before = await inspect(`${registry.host}/shared:gke`);
  const first = made(await run(request('shared:gke', { shared: true })));
  expect(first).toMatchObject({ result: 'built', reference: expect.stringContaining(`/shared:gke-${kernel}-amd64-`) });
  expect((await inspect(`${registry.host}/shared:gke`)).Digest).toBe(before.Digest);
  const second = made(await run(request('shared:gke', { shared: true })));
  expect(second).toMatchObject({ result: 'present', image: first.image });
  expect(await registry.tags('shared')).toHaveLength(2);
});

test('a Dockerfile of a ConfigMap is a file of the pod, and where it is missing the user reads which key is meant', async () => {
  const wanted = request('config-map:v1', { source: { kind: 'config-map' } });
  expect(made(await run(wanted, { dockerfile: dockerfile() })).result).toBe('built');
  const report = failed(await run({ ...wanted, trigger: 1 }));
  expect(report).toMatchObject({ cause: 'user', message: expect.stringContaining('has no key `dockerfile`') });
});

test.each<[string, string, RegExp]>([
  [
    'an instruction that is none',
    'FROM scratch\nBOGUS x',
    /The step "BOGUS" of the Dockerfile fails: .*Unknown instruction/,
  ],
  [
    'a file that is not there',
    'FROM scratch\nCOPY nothing /x',
    /The step "COPY nothing \/x" of the Dockerfile fails: .*no such file/,
  ],
  ['no FROM', 'RUN true', /no FROM statement found/],
])('a Dockerfile with %s is the user’s to mend', async (_, text, sentence) => {
  const outcome = await run(request('broken:v1', { source: { kind: 'inline', dockerfile: text } }));
  expect(failed(outcome)).toMatchObject({ step: 'build', cause: 'user', message: expect.stringMatching(sentence) });
  expect(outcome.code).toBe(10);
});

test('a command that fails is the user’s to mend, and its last lines are in the report', async () => {
  const outcome = await run(request('compile:v1', inline('RUN echo "dummy.c:7: error: expected ;" && exit 3')));
  const report = failed(outcome);
  expect(report).toMatchObject({ step: 'build', cause: 'user' });
  expect(report.message).toMatch(/The step "RUN .*" of the Dockerfile fails with exit status 3/);
  expect(report.log).toContain('dummy.c:7: error: expected ;');
});

test('an image without a module for this kernel is never pushed', async () => {
  const outcome = await run(
    request('empty:v1', { source: { kind: 'inline', dockerfile: `FROM scratch\nCOPY --from=${base} /bin /bin` } }),
  );
  expect(failed(outcome)).toMatchObject({ step: 'verify', cause: 'user' });
  expect(await registry.tags('empty')).toEqual([]);
});

test('where signing was asked for, nothing is pushed that the stage sign has not seen, and no layer of it is kept', async () => {
  const key = await signKey();
  const pod = await podOf(request('unsigned:v1', { sign: {}, cache: true }), key);
  expect((await pod.run('build')).report.result).toBe('passed');
  const outcome = await pod.run('push');
  expect(failed(outcome)).toMatchObject({
    step: 'verify',
    message: expect.stringContaining('the stage sign has not run'),
  });
  expect(await registry.tags('unsigned')).toEqual([]);
});

test('an image that is there is signed without being built', async () => {
  const unsigned = made(await run(request('to-sign:unsigned')));
  const key = await signKey();
  const wanted = request('to-sign:signed', { source: { kind: 'image', reference: unsigned.reference }, sign: {} });
  const report = made(await run(wanted, key));
  expect(report).toMatchObject({ result: 'built', files: [{ signer: 'kmm test signer' }] });
  expect(made(await run(wanted, key)).result).toBe('present');
  const absent = {
    ...wanted,
    source: { kind: 'image', reference: `${registry.host}/to-sign:absent` },
    trigger: 1,
  } as const;
  expect(failed(await run(absent, key)).message).toContain(`${registry.host}/to-sign:absent`);
  const strict = failed(await run({ ...wanted, push: { insecure: false, insecureSkipTLSVerify: false } }, key));
  expect(strict.message).toContain('Set sign.push.insecure: true');
});

async function signKey(): Promise<MountedFiles> {
  const { key, certificate } = await makeSignKeys('kmm test signer');
  return { signKey: key, signCert: certificate };
}

test('a second kernel takes the layers of the first from the registry, up to the argument that differs; who pulls the trigger takes none', async () => {
  const wanted = (more: string, changes: Partial<BuildRequest> = {}): BuildRequest => {
    const plain = request('cache:v1', { ...inline('RUN echo compilers > /tools'), cache: true, ...changes });
    return { ...plain, buildArgs: { ...plain.buildArgs, MORE: more } };
  };
  const first = made(await run(wanted('x')));
  expect(first.cached).toBe(false);
  const second = await run(wanted('y'));
  expect(made(second)).toMatchObject({ result: 'built', cached: true });
  expect(second.log).toContain('Cache pulled from remote');
  expect(made(await run(wanted('y', { trigger: 1 })))).toMatchObject({ result: 'built', cached: false });
});

test('layers that cannot be kept fail no build', async () => {
  const proxy = await FaultyProxy.start(registry.host);
  try {
    proxy.fault = { kind: 'cut-upload', afterBytes: 100 };
    const pod = await podOf(
      aRequest(`${proxy.host}/kept:v1`, kernel, { ...inline('RUN echo kept > /kept'), cache: true }),
    );
    const outcome = await pod.run('build');
    expect(outcome.report.result, outcome.log).toBe('passed');
    expect(proxy.hits).toBeGreaterThan(0);
    expect(outcome.log).toContain('the layers cannot be kept in the registry for the next build');
  } finally {
    await proxy.down();
  }
});

const SECRETS = {
  single: { password: testSecret('single') },
  many: { user: testSecret('many-user'), token: testSecret('many-token') },
};

test('secrets are there for RUN, by id and below /run/secrets, and nowhere else: no log, layer, history, report or state', async () => {
  const steps = [
    'RUN --mount=type=secret,id=single,target=/elsewhere cat /elsewhere',
    'RUN cat /run/secrets/single/password',
    'RUN --mount=type=secret,id=many.token cat /run/secrets/many.token',
    'RUN cat /run/secrets/many/user',
  ];
  const wanted = request('secrets:v1', { ...inline(...steps), secrets: ['single', 'many'], cache: true });
  const pod = await podOf(wanted, {
    buildSecrets: SECRETS,
    push: { [registry.host]: USER },
    pull: { [registry.host]: USER },
  });
  const outcome = await pod.run();
  expect(made(outcome).result).toBe('built');
  // Four times it was printed, and four times it was taken out.
  expect(outcome.log.match(/\*\*\*/g)?.length).toBeGreaterThanOrEqual(4);
  const values = [...Object.values(SECRETS).flatMap((keys) => Object.values(keys)), USER.password];
  const config = await runOrThrow('skopeo', [
    'inspect',
    '--config',
    '--tls-verify=false',
    `docker://${registry.host}/secrets:v1`,
  ]);
  for (const value of values) {
    expect(outcome.log).not.toContain(value);
    expect(JSON.stringify(outcome.report)).not.toContain(value);
    expect(config.stdout).not.toContain(value);
    expect(config.stdout).not.toContain(Buffer.from(value).toString('base64'));
    // All of the work folder: state, storage with every layer, temporary files.
    expect((await runTool('grep', ['-rlaF', '--', value, pod.work])).stdout).toBe('');
  }
  expect(await readdir(pod.work)).not.toContain('private');
});

test('a secret that a RUN takes at its own place, /run/secrets/ID, is the file there', async () => {
  const steps = [
    `RUN --mount=type=secret,id=single [ "$(wc -c < /run/secrets/single)" = ${SECRETS.single.password.length} ]`,
  ];
  const outcome = await run(request('own-place:v1', { ...inline(...steps), secrets: ['single'] }), {
    buildSecrets: SECRETS,
  });
  expect(made(outcome).result).toBe('built');
});

test.each<[string, RegExp]>([
  ['check', /Z check: begins/],
  ['source', /Z source: begins/],
  ['build', /Z build: begins/],
  ['a pull', /Copying blob/],
  ['a RUN', /STEP 3\/3: RUN/],
  ['a commit', /COMMIT/],
  ['sign', /Z sign: begins/],
  ['the end of sign', /Z sign: took/],
  ['verify', /Z verify: begins/],
  ['the end of verify', /Z verify: took/],
  ['push', /Z push: begins/],
  ['the upload of a layer', /push: begins[^]*Copying blob/],
  ['the place between its two tags', /push: begins[^]*Storing signatures/],
  ['the end of push', /Z push: took/],
])(
  'a build that is killed at %s gives the same when it runs again, and has left nothing half done',
  async (name, line) => {
    const repository = `killed-${name.toLowerCase().replaceAll(' ', '-')}`;
    const key = await signKey();
    const pod = await podOf(request(`${repository}:v1`, { sign: {}, ...inline() }), key);
    await pod.killAt(line);
    for (const tag of await registry.tags(repository)) {
      // Whatever has a name is whole: each of its layers can be had.
      await runOrThrow('skopeo', [
        'copy',
        '--src-tls-verify=false',
        `docker://${registry.host}/${repository}:${tag}`,
        `dir:${join(pod.root, 'whole')}`,
      ]);
      expect((await inspect(`${registry.host}/${repository}:${tag}`)).Labels).toHaveProperty([
        'kmm.sigs.x-k8s.io/build-key',
      ]);
    }
    const outcome = await pod.run();
    const report = made(outcome);
    expect(report.reference).toBe(`${registry.host}/${repository}:v1`);
    expect(await registry.tags(repository)).toEqual(['v1', `v1-${kernel}-amd64-${report.buildKey?.slice(0, 8)}`]);
    const { Digest, Labels } = await inspect(`${registry.host}/${repository}:v1`);
    expect(report.image).toBe(`${registry.host}/${repository}@${Digest}`);
    expect(JSON.parse(Labels?.['kmm.sigs.x-k8s.io/module-files'] ?? '')).toMatchObject([{ signer: 'kmm test signer' }]);
    // Nor is anything of the killed run still mounted.
    expect(await readFile('/proc/mounts', 'utf8')).not.toContain(`${pod.work}/storage/overlay/`);
  },
);

test('a build that is told to end says so, is no fault of the user’s, and leaves no secrets behind', async () => {
  const pod = await podOf(request('ended:v1', inline('RUN echo waiting && sleep 600')));
  const outcome = await pod.terminateAt(/Z waiting/);
  expect(failed(outcome)).toMatchObject({
    step: 'build',
    cause: 'infrastructure',
    message: expect.stringContaining('told to end'),
  });
  expect(outcome.code).toBe(20);
  expect(await readdir(pod.work)).not.toContain('private');
});

test('what another request has left in the work folder is thrown away', async () => {
  const pod = await podOf(request('leftover:v1'));
  expect((await pod.run('build')).report.result).toBe('passed');
  await pod.mount(request('leftover:v2', { trigger: 1 }));
  const outcome = await pod.run('push');
  expect(failed(outcome).message).toContain('finds nothing of the stage before it');
  expect(await registry.tags('leftover')).toEqual([]);
});

test('the three containers of a pod, one after the other, do what one process does', async () => {
  const key = await signKey();
  const wanted = request('stages:v1', { sign: {} });
  const pod = await podOf(wanted, { signCert: key.signCert });
  expect((await pod.run('build')).report.result).toBe('passed');
  await pod.mount(wanted, key);
  expect((await pod.run('sign')).report.result).toBe('passed');
  await pod.mount(wanted, { signCert: key.signCert });
  const report = made(await pod.run('push'));
  expect(report).toMatchObject({ result: 'built', files: [{ signer: 'kmm test signer' }] });
  expect(Object.keys(report.durations).sort()).toEqual(['build', 'check', 'push', 'sign', 'source', 'verify']);
});

/** As root with SETUID, SETGID and SETFCAP alone, which is what a build pod has where the cluster has no user namespaces for pods. */
const FEW_CAPABILITIES = [
  'mount --bind "$0" /etc/subuid',
  'mount --bind "$0" /etc/subgid',
  'exec setpriv --no-new-privs --inh-caps=-all --bounding-set=-all,+setuid,+setgid,+setfcap "$@"',
].join(' && ');

test('without the right to mount the same is done in a user namespace, signing included', async ({ skip }) => {
  skip(process.getuid?.() !== 0, 'only root can give up all but three capabilities');
  const pod = await podOf(request('few-capabilities:v1', { sign: {}, ...inline() }), await signKey());
  const ids = join(pod.root, 'subids');
  await writeFile(ids, 'root:100000:65536\n');
  pod.wrapper = ['unshare', '--mount', 'sh', '-c', FEW_CAPABILITIES, ids];
  for (const stage of ['build', 'sign'] as const) {
    const outcome = await pod.run(stage);
    expect(outcome.report.result, outcome.log).toBe('passed');
  }
  const report = made(await pod.run('push'));
  expect(report).toMatchObject({ result: 'built', files: [{ signer: 'kmm test signer' }] });
  // The user's fault keeps its exit code through all the processes in between.
  await pod.mount(request('few-capabilities:v2', { source: { kind: 'inline', dockerfile: 'FROM scratch\nBOGUS' } }));
  expect((await pod.run('build')).code).toBe(10);
});

test('a command line that makes no sense is refused before anything is done', async () => {
  const outcome = await runTool(process.execPath, [PROGRAM, 'build-image', '--stage=never', '--filez=x']);
  expect(outcome.code).toBe(1);
  expect(outcome.stderr).toContain('--stage: "never" is not one of check, build, sign, push, all.');
  expect(outcome.stderr).toContain('--filez is not a known flag; did you mean --files.');
});
