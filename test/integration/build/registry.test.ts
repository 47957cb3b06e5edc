/** The whole pipeline with real buildah and skopeo against Debian's docker-registry: over HTTP, TLS and with a password, and when it fails. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';

import type { FailureReport, ImageReport } from '../../../src/build/pipeline/report.ts';
import type { BuildRequest } from '../../../src/build/pipeline/request.ts';
import type { Stage } from '../../../src/build/pipeline/stages.ts';
import { buildFixtures, pushBaseImage } from '../../harness/build-fixtures.ts';
import { aRequest, BuildPod, type BuildRun, type MountedFiles } from '../../harness/build-tools.ts';
import { type Fault, FaultyProxy, type RegistryServer, startRegistry } from '../../harness/registry-server.ts';
import { makeSignKeys } from '../../harness/sign-keys.ts';
import { testSecret } from '../../harness/test-secrets.ts';

const USER = { name: 'robot', password: testSecret('registry') };
const STRICT = { insecure: false, insecureSkipTLSVerify: false };

let plain: RegistryServer;
let tls: RegistryServer;
let locked: RegistryServer;
let base: string;
let kernel: string;

/** Nobody listens there: the ports that are free now are those that other tests draw. */
const unused = 1;

beforeAll(async () => {
  [plain, tls, locked] = await Promise.all([
    startRegistry(),
    startRegistry({ tls: true }),
    startRegistry({ user: USER }),
  ]);
  base = await pushBaseImage(plain.host);
  ({ kernel } = await buildFixtures());
});

afterAll(async () => {
  await Promise.all([plain, tls, locked].map((each) => each?.stop()));
});

const pods: BuildPod[] = [];
afterEach(async () => {
  await Promise.all(pods.splice(0).map((pod) => pod.remove()));
});

/** An image with the module where loaders see it, of a base that is pulled over plain HTTP. */
function dockerfile(from = base): string {
  return [
    `FROM ${from} AS build`,
    'ARG KERNEL_FULL_VERSION',
    'RUN mkdir -p /opt/lib/modules/$KERNEL_FULL_VERSION && cp /src/dummy.ko /opt/lib/modules/$KERNEL_FULL_VERSION/',
    'FROM scratch',
    'COPY --from=build /opt /opt',
  ].join('\n');
}

function request(image: string, changes: Partial<BuildRequest> = {}): BuildRequest {
  return aRequest(image, kernel, { source: { kind: 'inline', dockerfile: dockerfile() }, ...changes });
}

async function run(wanted: BuildRequest, mounted: MountedFiles = {}): Promise<BuildRun> {
  const pod = await BuildPod.create(wanted, mounted);
  pods.push(pod);
  return pod.run();
}

function made(run: BuildRun): ImageReport {
  if (run.report.result === 'failed' || run.report.result === 'passed')
    throw new Error(`no image; the log: ${run.log}`);
  return run.report;
}

function failed(run: BuildRun): FailureReport {
  if (run.report.result !== 'failed') throw new Error(`it did not fail; the log: ${run.log}`);
  return run.report;
}

describe.each<[string, () => { server: RegistryServer; changes: Partial<BuildRequest>; mounted: MountedFiles }]>([
  ['plain HTTP', () => ({ server: plain, changes: {}, mounted: {} })],
  [
    'TLS with an authority of its own',
    () => ({ server: tls, changes: { push: STRICT }, mounted: { authority: tls.authority } }),
  ],
  [
    'TLS that nobody checks',
    () => ({ server: tls, changes: { push: { insecure: false, insecureSkipTLSVerify: true } }, mounted: {} }),
  ],
  ['a password', () => ({ server: locked, changes: {}, mounted: { push: { [locked.host]: USER } } })],
])('a registry with %s', (name, world) => {
  const repository = name.toLowerCase().replaceAll(' ', '-');

  test('gets the image under its own tag and under the user’s, and the second run of the same key finds it there', async () => {
    const { server, changes, mounted } = world();
    const image = `${server.host}/${repository}:v1`;
    const first = await run(request(image, changes), mounted);
    const report = made(first);
    expect(report).toMatchObject({ result: 'built', reference: image, filesNumber: 1 });
    expect(report.image).toMatch(new RegExp(`^${server.host}/${repository}@sha256:[0-9a-f]{64}$`));
    const own = `v1-${kernel}-amd64-${report.buildKey?.slice(0, 8)}`;
    expect(await server.tags(repository)).toEqual(['v1', own]);

    const second = await run(request(image, changes), mounted);
    expect(made(second)).toMatchObject({ result: 'present', image: report.image, buildKey: report.buildKey });
    expect(second.code).toBe(0);
    expect(second.log).not.toContain('STEP');
  });
});

test('a registry that lets nobody read is asked by a container of its own, and the code of a Dockerfile never has what it takes', async () => {
  const image = `${locked.host}/apart:v1`;
  const { key, certificate } = await makeSignKeys('Acme');
  const wanted = request(image, { sign: {}, cache: true });
  const credentials = { push: { [locked.host]: USER }, signCert: certificate };
  const pod = await BuildPod.create(wanted);
  pods.push(pod);
  const stage = async (name: Stage, mounted: MountedFiles = { signCert: certificate }): Promise<BuildRun> => {
    await pod.mount(wanted, mounted);
    return pod.run(name);
  };
  expect((await stage('check', credentials)).report.result).toBe('passed');
  const build = await stage('build');
  expect(build.report.result).toBe('passed');
  expect(build.log).not.toContain('check: begins');
  expect(Object.keys(build.report.durations)).toEqual(expect.arrayContaining(['check', 'source', 'build']));
  expect((await stage('sign', { signKey: key, signCert: certificate })).report.result).toBe('passed');
  const report = made(await stage('push', credentials));
  expect(report).toMatchObject({ result: 'built', files: [{ signer: 'Acme' }] });

  expect((await stage('check', credentials)).report.result).toBe('passed');
  const unchanged = await stage('build');
  expect([unchanged.report.result, unchanged.log.includes('STEP')]).toEqual(['passed', false]);
  expect(made(await stage('push', credentials))).toMatchObject({ result: 'present', image: report.image });
  // What another stage than `check` has left is of a run before.
  expect(failed(await stage('build'))).toMatchObject({ step: 'check', cause: 'user' });
});

test.each<[string, () => [BuildRequest, MountedFiles], 'user' | 'infrastructure', RegExp]>([
  [
    'without credentials',
    () => [request(`${locked.host}/x:v1`), {}],
    'user',
    /asks for credentials for .*, and there are none for it \(401\).* Secret of type kubernetes.io\/dockerconfigjson .*spec.imageRepoSecret/,
  ],
  [
    'with wrong credentials',
    () => [
      request(`${locked.host}/x:v1`),
      { push: { [locked.host]: { ...USER, password: testSecret('wrong-registry') } } },
    ],
    'user',
    /does not accept the credentials for .* \(401\).*Correct the Secret/,
  ],
  [
    'that is not there',
    () => [request(`localhost:${unused}/x:v1`), {}],
    'infrastructure',
    /cannot be reached: nothing listens there/,
  ],
  [
    'whose name nobody knows',
    () => [request('registry.invalid/x:v1'), {}],
    'infrastructure',
    /nobody knows its name \(DNS\)/,
  ],
  [
    'whose authority nobody knows',
    () => [request(`${tls.host}/x:v1`, { push: STRICT }), {}],
    'user',
    /signed by an authority that the builder does not know \(x509\).*--builder-registries-conf.*insecureSkipTLSVerify/,
  ],
  [
    'that speaks plain HTTP where nobody said so',
    () => [request(`${plain.host}/x:v1`, { push: STRICT }), {}],
    'user',
    /speaks plain HTTP.*Set build.push.insecure: true/,
  ],
])('a registry %s is named in a sentence with the next step', async (_, world, cause, sentence) => {
  const [wanted, mounted] = world();
  const outcome = await run(wanted, mounted);
  const report = failed(outcome);
  expect(report.message).toMatch(sentence);
  expect(report.message).toContain(wanted.image.split('/')[0]);
  expect(report).toMatchObject({ step: 'check', cause });
  expect(outcome.code).toBe(cause === 'user' ? 10 : 20);
});

test('a base image that is not there is the user’s to mend, and one whose registry is away is not', async () => {
  const inline = (from: string): Partial<BuildRequest> => ({
    source: { kind: 'inline', dockerfile: dockerfile(from) },
  });
  const missing = failed(await run(request(`${plain.host}/from:v1`, inline(`${plain.host}/nothing/here:1`))));
  expect(missing).toMatchObject({ step: 'build', cause: 'user' });
  expect(missing.message).toMatch(/nothing\/here:1, which the Dockerfile begins FROM, is not there/);
  const away = failed(await run(request(`${plain.host}/from:v1`, inline(`localhost:${unused}/base:1`))));
  expect(away).toMatchObject({ step: 'build', cause: 'infrastructure' });
  expect(away.message).toMatch(new RegExp(`localhost:${unused} cannot be reached: nothing listens there`));
});

test('base images are pulled with the credentials that pull, and pushed with those that push', async () => {
  const lockedBase = `${locked.host}/copy-of-base:1`;
  const seed = await run(
    request(lockedBase, { source: { kind: 'inline', dockerfile: dockerfile().split('\n').slice(0, 3).join('\n') } }),
    { push: { [locked.host]: USER } },
  );
  expect(seed.code).toBe(0);
  const from = { source: { kind: 'inline', dockerfile: dockerfile(lockedBase) } } as const;
  const image = `${plain.host}/from-locked:v1`;
  expect(failed(await run(request(image, from))).message).toMatch(/asks for credentials for .*build.pull.secret/);
  const each = { pull: { [locked.host]: USER }, push: { 'other.example': USER } };
  expect(made(await run(request(image, from), each)).result).toBe('built');
});

test('base images come from the mirror that the site’s registries.conf names, and its authority is known for them', async () => {
  const mirrored = `${tls.host}/mirrored/base:1`;
  const seed = { kind: 'inline', dockerfile: dockerfile().split('\n').slice(0, 3).join('\n') } as const;
  const authority = { authority: tls.authority };
  expect((await run(request(mirrored, { source: seed, push: STRICT }), authority)).code).toBe(0);
  // Nobody can resolve that one.
  const source = { kind: 'inline', dockerfile: dockerfile('upstream.invalid/mirrored/base:1') } as const;
  const wanted = request(`${plain.host}/from-mirror:v1`, { source, pull: STRICT });
  const registriesConf = [
    '[[registry]]',
    'location = "upstream.invalid"',
    '[[registry.mirror]]',
    `location = "${tls.host}"`,
  ].join('\n');
  expect(made(await run(wanted, { registriesConf, ...authority })).result).toBe('built');
  expect(failed(await run({ ...wanted, trigger: 1 }, { registriesConf })).message).toMatch(
    /authority that the builder does not know/,
  );
  expect(failed(await run({ ...wanted, trigger: 2 })).message).toMatch(/upstream.invalid .*nobody knows its name/);
});

test('a registry whose disk is full is named so, and keeps no tag', async ({ skip }) => {
  skip(process.getuid?.() !== 0, 'only root can mount a small disk');
  const small = await startRegistry({ diskBytes: 16 * 1024 });
  try {
    const report = failed(await run(request(`${small.host}/full:v1`)));
    expect(report).toMatchObject({ step: 'push', cause: 'infrastructure' });
    expect(report.message).toMatch(/failed by itself \(5xx\).*its disk is full/);
    expect(await small.tags('full')).toEqual([]);
  } finally {
    await small.stop();
  }
});

describe('a registry that fails', () => {
  let proxy: FaultyProxy;
  beforeAll(async () => {
    proxy = await FaultyProxy.start(plain.host);
  });
  afterEach(async () => {
    proxy.fault = { kind: 'none' };
  });
  afterAll(() => proxy?.down());

  test.each<[string, Fault, RegExp]>([
    [
      'with 429, again and again',
      { kind: 'rate-limit', retryAfter: 1, times: 1_000 },
      /takes no more requests for now \(429\)/,
    ],
    ['with 500', { kind: 'status', status: 500, text: 'INTERNAL' }, /failed by itself \(5xx\)/],
    ['with 503', { kind: 'status', status: 503, text: 'UNAVAILABLE' }, /failed by itself \(5xx\)/],
    ['with 507', { kind: 'status', status: 507, text: 'FULL' }, /no room left on its disk/],
  ])('when it is looked up %s has its sentence and is tried again later', async (_, fault, sentence) => {
    proxy.fault = fault;
    const outcome = await run(request(`${proxy.host}/faulty:v1`));
    const report = failed(outcome);
    expect(report.message).toMatch(sentence);
    expect(report.message).toContain(proxy.host);
    expect(report).toMatchObject({ step: 'check', cause: 'infrastructure' });
    expect(outcome.code).toBe(20);
    expect(proxy.hits).toBeGreaterThan(0);
  });

  test.each<[string, Fault]>([
    ['is slow', { kind: 'slow', ms: 300 }],
    ['asks for patience twice (429 with Retry-After)', { kind: 'rate-limit', retryAfter: 1, times: 2 }],
  ])('only for a while, as one that %s, still gets its image', async (name, fault) => {
    proxy.fault = fault;
    const image = `${proxy.host}/patience-${fault.kind}:v1`;
    expect(made(await run(request(image))).result, name).toBe('built');
    expect(proxy.hits).toBeGreaterThan(1);
  });

  test.each<[string, string, Fault, RegExp]>([
    [
      'a base image is pulled',
      'build',
      { kind: 'status', status: 500, text: 'INTERNAL', of: /^GET .*\/base\/manifests\// },
      /failed by itself \(5xx\)/,
    ],
    [
      'a layer is pushed',
      'push',
      { kind: 'status', status: 500, text: 'INTERNAL', of: /^P\w+ .*\/blobs\/uploads\// },
      /failed by itself \(5xx\)/,
    ],
    [
      'the image gets its second tag',
      'push',
      { kind: 'status', status: 503, text: 'UNAVAILABLE', of: /^PUT .*\/manifests\/v1$/ },
      /failed by itself \(5xx\)/,
    ],
    [
      'the image gets its second tag, with 429,',
      'push',
      { kind: 'status', status: 429, text: 'TOOMANYREQUESTS', of: /^PUT .*\/manifests\/v1$/ },
      /takes no more requests for now \(429\)/,
    ],
  ])('when %s has its sentence, and the next run gets its image', async (name, step, fault, sentence) => {
    const from = base.replace(plain.host, proxy.host);
    const repository = name.replaceAll(/[ ,]+/g, '-').replaceAll(/[^a-z0-9-]|-$/g, '');
    const source = { kind: 'inline', dockerfile: dockerfile(from) } as const;
    const pod = await BuildPod.create(request(`${proxy.host}/${repository}:v1`, { source }));
    pods.push(pod);
    proxy.fault = fault;
    const report = failed(await pod.run());
    expect(report).toMatchObject({ step, cause: 'infrastructure' });
    expect(report.message).toMatch(sentence);
    expect(report.message).toContain(proxy.host);
    expect(proxy.hits).toBeGreaterThan(0);
    expect(await plain.tags(repository)).not.toContain('v1');
    proxy.fault = { kind: 'none' };
    expect(made(await pod.run()).reference).toBe(`${proxy.host}/${repository}:v1`);
    expect(await plain.tags(repository)).toContain('v1');
  });

  test('by never answering a push has the build told to end: the report has the step and the last lines', async () => {
    const pod = await BuildPod.create(request(`${proxy.host}/silent:v1`));
    pods.push(pod);
    proxy.fault = { kind: 'silent', of: /\/blobs\/uploads\// };
    const running = pod.terminateAt(/push: begins[^]*Getting image source signatures/, () => proxy.hits > 0);
    const report = failed(await running);
    expect(report).toMatchObject({ step: 'push', cause: 'infrastructure' });
    expect(report.log).toContain('Getting image source signatures');
    expect(await plain.tags('silent')).toEqual([]);
  });

  // As Quay does. The build went no further once, whatever the credentials were allowed.
  test('to tell a repository that is yet to be made from one that is another’s gets its image nonetheless', async () => {
    const text = 'access to the requested resource is not authorized';
    const of = /^\w+ \/v2\/quay\/manifests\//;
    proxy.fault = { kind: 'status', status: 401, code: 'UNAUTHORIZED', text, of, times: 2 };
    const image = `${proxy.host}/quay:v1`;
    const outcome = await run(request(image), { push: { [proxy.host]: USER } });
    expect(made(outcome)).toMatchObject({ result: 'built', reference: image });
    expect(proxy.hits).toBe(2);
    proxy.fault = { kind: 'status', status: 401, code: 'UNAUTHORIZED', text, of };
    const bare = failed(await run(request(`${proxy.host}/quay:v2`)));
    expect(bare).toMatchObject({ step: 'check', cause: 'user' });
    expect(bare.message).toMatch(/asks for credentials for .*, and there are none for it \(401\)/);
  });

  test('in the middle of a layer leaves no tag, and the next run, when it is well again, pushes all of it', async () => {
    proxy.fault = { kind: 'cut-upload', afterBytes: 1_000 };
    const wanted = request(`${proxy.host}/cut:v1`);
    const pod = await BuildPod.create(wanted);
    pods.push(pod);
    const report = failed(await pod.run());
    expect(report).toMatchObject({ step: 'push', cause: 'infrastructure' });
    expect(report.message).toMatch(/connection to the registry .* was cut while data was sent/);
    expect(proxy.hits).toBeGreaterThan(0);
    expect(await plain.tags('cut')).toEqual([]);
    proxy.fault = { kind: 'none' };
    expect(made(await pod.run()).result).toBe('built');
    expect(await plain.tags('cut')).toHaveLength(2);
  });

  test('by being away when the image is pushed has its sentence, and the next run pushes', async () => {
    const wanted = request(`${proxy.host}/away:v1`);
    const pod = await BuildPod.create(wanted);
    pods.push(pod);
    expect((await pod.run('build')).report.result).toBe('passed');
    expect((await pod.run('sign')).report.result).toBe('passed');
    await proxy.down();
    try {
      const report = failed(await pod.run('push'));
      expect(report).toMatchObject({ step: 'push', cause: 'infrastructure' });
      expect(report.message).toMatch(/cannot be reached: nothing listens there/);
    } finally {
      await proxy.up();
    }
    expect(made(await pod.run('push')).result).toBe('built');
  });
});
