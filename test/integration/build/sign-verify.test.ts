import {
  chmod,
  chown,
  copyFile,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { gunzipSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import { BuildFailure } from '../../../src/build/pipeline/failure.ts';
import type { BuildRequest } from '../../../src/build/pipeline/request.ts';
import { certificateFingerprint, signModules } from '../../../src/build/pipeline/sign.ts';
import { verifyImage } from '../../../src/build/pipeline/verify.ts';
import { aBuildContext, type BuildContext } from '../../harness/build-context.ts';
import { helloModule, twoKernels } from '../../harness/kernel-modules.ts';
import { run, runOrThrow } from '../../harness/run.ts';
import { makeSignKeys, type SignKeys } from '../../harness/sign-keys.ts';

const SIGNATURE = '~Module signature appended~\n';
/** What Node calls this machine, in Go's words. */
const ARCH = process.arch === 'x64' ? 'amd64' : process.arch;

let keys: SignKeys;
let otherKeys: SignKeys;
/** The kernel that is built for, and another. */
let kernel: string;
let otherKernel: string;
let hello: string;
let otherHello: string;

beforeAll(async () => {
  const [newest, older] = await twoKernels();
  if (newest === undefined || older === undefined) throw new Error('there are no two kernels');
  kernel = newest.release;
  otherKernel = older.release;
  hello = await helloModule(kernel);
  otherHello = await helloModule(otherKernel);
  keys = await makeSignKeys('Acme, signer of modules');
  otherKeys = await makeSignKeys('Mallory');
});

/** What buildah mounts: the files of an image. */
let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'kmm-root-'));
});
afterEach(() => rm(root, { recursive: true, force: true }));

async function put(path: string, content: string | Buffer): Promise<void> {
  await mkdir(dirname(join(root, path)), { recursive: true });
  await writeFile(join(root, path), content);
}

const opt = (name = 'hello.ko', release = kernel) => `/opt/lib/modules/${release}/${name}`;

interface Options {
  readonly sign?: BuildRequest['sign'] | 'no';
  readonly key?: string;
  readonly cert?: string | Buffer;
  readonly request?: Partial<BuildRequest>;
}

function aContext({
  sign = {},
  key = keys.key,
  cert = keys.certificate,
  request = {},
}: Options = {}): Promise<BuildContext> {
  return aBuildContext({
    request: { kernel, arch: ARCH, ...(sign === 'no' ? {} : { sign }), ...request },
    files: { 'sign-key/key': key, 'sign-cert/cert': cert },
  });
}

async function failureOf(work: Promise<unknown>): Promise<BuildFailure> {
  try {
    await work;
  } catch (error) {
    if (error instanceof BuildFailure) return error;
    throw error;
  }
  throw new Error('nothing failed');
}

const field = async (path: string, name: string) =>
  (await runOrThrow('modinfo', ['-F', name, join(root, path)])).stdout.trim();
const signatures = (bytes: Buffer) => bytes.toString('latin1').split(SIGNATURE).length - 1;

describe('a module compiled for two kernels', () => {
  it('is signed, and modinfo shows signer and vermagic of each', async () => {
    await put(opt(), await readFile(hello));
    await put(opt('hello.ko', otherKernel), await readFile(otherHello));
    await using context = await aContext();
    const both = [opt(), opt('hello.ko', otherKernel)].sort();
    expect(await signModules(context, root)).toEqual(both);
    for (const path of both) {
      expect(await field(path, 'signer')).toBe('Acme, signer of modules');
      expect(await field(path, 'sig_hashalgo')).toBe('sha512');
    }
    expect((await field(opt(), 'vermagic')).split(' ')[0]).toBe(kernel);
    expect((await field(opt('hello.ko', otherKernel), 'vermagic')).split(' ')[0]).toBe(otherKernel);
    const files = await verifyImage(context, root);
    expect(files).toEqual([
      { path: opt(), vermagic: await field(opt(), 'vermagic'), signer: 'Acme, signer of modules' },
    ]);
  });

  it('has a signature that openssl finds good for what the compiler made', async () => {
    await put(opt(), await readFile(hello));
    await using context = await aContext();
    await signModules(context, root);
    const signed = await readFile(join(root, opt()));
    const original = await readFile(hello);
    expect(signed.subarray(0, original.length).equals(original)).toBe(true);
    const message = signed.subarray(original.length, -(SIGNATURE.length + 12));
    await put('/tmp/p7', message);
    await put('/tmp/cert', keys.certificate);
    const verify = (content: string) =>
      run('openssl', [
        'cms',
        '-verify',
        '-binary',
        '-noverify',
        '-inform',
        'DER',
        '-in',
        join(root, '/tmp/p7'),
        '-content',
        content,
        '-certfile',
        join(root, '/tmp/cert'),
        '-out',
        '/dev/null',
      ]);
    expect((await verify(hello)).code).toBe(0);
    expect((await verify(otherHello)).code).not.toBe(0);
  });

  it('is caught where it is the wrong kernel’s', async () => {
    await put(opt(), await readFile(otherHello));
    await using context = await aContext({ sign: 'no' });
    const failure = await failureOf(verifyImage(context, root));
    expect(failure).toMatchObject({ step: 'verify', blame: 'user' });
    expect(failure.message).toContain(`no module for kernel ${kernel}: it has ${opt()} for ${otherKernel}.`);
  });

  it('is caught where it is the wrong architecture’s', async () => {
    await put(opt(), await readFile(hello));
    await using context = await aContext({ sign: 'no', request: { arch: 's390x' } });
    expect((await failureOf(verifyImage(context, root))).message).toContain(`it has ${opt()} for ${ARCH}.`);
  });

  it('is caught where it lies only below /lib/modules, by whichever name', async () => {
    await symlink('usr/lib', join(root, 'lib'));
    await put(`/usr/lib/modules/${kernel}/hello.ko`, await readFile(hello));
    await mkdir(join(root, 'opt'));
    await symlink('/lib/modules', join(root, 'opt', 'modules'));
    await using context = await aContext({ sign: 'no' });
    const failure = await failureOf(verifyImage(context, root));
    expect(failure.blame).toBe('user');
    expect(failure.message).toContain(`are mounted there: /usr/lib/modules/${kernel}/hello.ko.`);
  });

  it('is found where it is packed, and reported without a signer where nothing was signed', async () => {
    await put(opt('hello.ko.gz'), gzipSync(await readFile(hello)));
    await using context = await aContext({ sign: 'no' });
    const files = await verifyImage(context, root);
    expect(files).toEqual([{ path: opt('hello.ko.gz'), vermagic: expect.stringContaining(kernel) }]);
  });

  it('is none where there is only a text of that name', async () => {
    await put(opt(), 'no module\n'.repeat(20));
    await put(opt('broken.ko.xz'), Buffer.concat([Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0]), Buffer.alloc(50)]));
    await using context = await aContext({ sign: 'no' });
    const { message } = await failureOf(verifyImage(context, root));
    expect(message).toContain(`${opt()} is no kernel module`);
    expect(message).toContain(`${opt('broken.ko.xz')} is packed with xz and cannot be unpacked`);
  });
});

describe('packed modules', () => {
  beforeEach(async () => {
    const bytes = await readFile(hello);
    await put('/tmp/hello.ko', bytes);
    await runOrThrow('xz', ['--check=crc64', join(root, 'tmp', 'hello.ko')]);
    await put(opt('b.ko.zst'), zstdCompressSync(bytes));
    await put(opt('c.ko.gz'), gzipSync(bytes));
    await rename(join(root, 'tmp', 'hello.ko.xz'), join(root, opt('a.ko.xz')));
  });

  it('are unpacked, signed, and packed again as the kernel can read them', async () => {
    await using context = await aContext();
    const paths = [opt('a.ko.xz'), opt('b.ko.zst'), opt('c.ko.gz')];
    expect(await signModules(context, root)).toEqual(paths);
    // Debian's modinfo does not unpack gzip itself.
    for (const path of paths.slice(0, 2)) expect(await field(path, 'signer')).toBe('Acme, signer of modules');
    const list = await runOrThrow('xz', ['--robot', '--list', join(root, paths[0] ?? '')]);
    expect(list.stdout).toContain('CRC32');
    const plain = gunzipSync(await readFile(join(root, paths[2] ?? '')));
    expect(signatures(plain)).toBe(1);
    for (const tool of ['xz', 'zstd']) {
      const packed = paths.find((path) => path.endsWith(tool === 'xz' ? 'xz' : 'zst')) ?? '';
      const unpacked = join(root, 'tmp', `of-${tool}`);
      await copyFile(join(root, packed), `${unpacked}.${tool === 'xz' ? 'xz' : 'zst'}`);
      await runOrThrow(tool, ['-q', '-d', `${unpacked}.${tool === 'xz' ? 'xz' : 'zst'}`]);
      expect((await readFile(unpacked)).equals(plain)).toBe(true);
    }
    const files = await verifyImage(context, root);
    expect(files.map(({ signer }) => signer)).toEqual(paths.map(() => 'Acme, signer of modules'));
    expect(await readdir(context.work)).toEqual(['private']);
  });

  it('that have a plain module’s name are treated by what they are', async () => {
    await rename(join(root, opt('a.ko.xz')), join(root, opt('a.ko')));
    await using context = await aContext({ sign: { filesToSign: [opt('a.ko')] } });
    expect(await signModules(context, root)).toEqual([opt('a.ko')]);
    expect((await readFile(join(root, opt('a.ko')))).subarray(1, 5).toString()).toBe('7zXZ');
  });
});

describe('signing', () => {
  it('twice gives one signature and the same bytes; another certificate’s is replaced', async () => {
    await put(opt(), await readFile(hello));
    await using context = await aContext();
    await signModules(context, root);
    const once = await readFile(join(root, opt()));
    await signModules(context, root);
    expect((await readFile(join(root, opt()))).equals(once)).toBe(true);
    expect(signatures(once)).toBe(1);
    await using other = await aContext({ key: otherKeys.key, cert: otherKeys.certificate });
    await signModules(other, root);
    expect(signatures(await readFile(join(root, opt())))).toBe(1);
    expect(await field(opt(), 'signer')).toBe('Mallory');
  });

  it('keeps mode and owner of the file, and leaves nothing beside it', async () => {
    await put(opt(), await readFile(hello));
    await chown(join(root, opt()), 1234, 2345);
    await chmod(join(root, opt()), 0o4750);
    // What a kill in the middle leaves.
    await put(opt('.hello.ko.kmm-signing'), 'half');
    await using context = await aContext();
    await signModules(context, root);
    const { mode, uid, gid } = await stat(join(root, opt()));
    expect([mode & 0o7777, uid, gid]).toEqual([0o4750, 1234, 2345]);
    expect(await readdir(dirname(join(root, opt())))).toEqual(['hello.ko']);
  });

  it('signs what a link names once, in the image and never on the builder', async () => {
    await put(opt(), await readFile(hello));
    const outside = await mkdtemp(join(tmpdir(), 'kmm-outside-'));
    try {
      await copyFile(hello, join(outside, 'hello.ko'));
      await symlink(opt(), join(root, 'opt', 'link.ko'));
      await symlink(join(outside, 'hello.ko'), join(root, 'opt', 'out.ko'));
      await symlink(outside, join(root, 'opt', 'out'));
      await using context = await aContext({
        sign: { filesToSign: ['/opt/*.ko', '/opt/**/*.ko'] },
      });
      expect(await signModules(context, root)).toEqual([opt()]);
      expect((await readFile(join(outside, 'hello.ko'))).equals(await readFile(hello))).toBe(true);
    } finally {
      await rm(outside, { recursive: true });
    }
  });

  it('takes all below /opt and /lib/modules unless told, hidden or not, and nothing else', async () => {
    const paths = ['/lib/modules/x/m.ko', '/opt/.hidden/h.ko', opt()];
    for (const path of [...paths, '/srv/s.ko']) await put(path, await readFile(hello));
    await using context = await aContext();
    expect(await signModules(context, root)).toEqual(paths);
    expect(await field('/srv/s.ko', 'signer')).toBe('');
  });

  it('fails for the user at a glob that matches no module, and says which there are', async () => {
    await put(opt(), await readFile(hello));
    await put('/opt/notes.txt', 'x');
    await using context = await aContext({ sign: { filesToSign: [opt(), '/opt/*'] } });
    const failure = await failureOf(signModules(context, root));
    expect(failure).toMatchObject({ step: 'sign', blame: 'user' });
    expect(failure.message).toBe(
      `The glob /opt/* of sign.filesToSign matches no kernel module. The image has these: ${opt()}. Correct the glob or the Dockerfile.`,
    );
    expect(await field(opt(), 'signer')).toBe('');
  });

  it('fails for the user where there is no module at all, or one that is none', async () => {
    await using context = await aContext();
    expect((await failureOf(signModules(context, root))).message).toContain('The image has no kernel module');
    await put(opt(), 'no module\n'.repeat(10));
    expect(await failureOf(signModules(context, root))).toMatchObject({
      blame: 'user',
      message: expect.stringContaining(`${opt()} is no kernel module`),
    });
  });
});

describe('what was to be signed', () => {
  it('is caught by verify where it is not, or by another', async () => {
    await put(opt(), await readFile(hello));
    await using context = await aContext();
    const unsigned = await failureOf(verifyImage(context, root));
    expect(unsigned.step).toBe('verify');
    expect(unsigned.message).toContain(`${opt()} is not signed`);
    await using other = await aContext({ key: otherKeys.key, cert: otherKeys.certificate });
    await signModules(other, root);
    expect((await failureOf(verifyImage(context, root))).message).toContain(`${opt()} is signed by Mallory`);
  });

  it('is caught by verify where one file of many was left out', async () => {
    await put(opt(), await readFile(hello));
    await using context = await aContext();
    await signModules(context, root);
    await put(opt('late.ko'), await readFile(hello));
    expect((await failureOf(verifyImage(context, root))).message).toContain(`: ${opt('late.ko')} is not signed.`);
  });
});

describe('key and certificate', () => {
  it('have a fingerprint, the same for PEM and DER', async () => {
    await using pem = await aContext();
    await using der = await aContext({ cert: keys.certificateDer });
    expect(await certificateFingerprint(pem)).toBe(keys.fingerprint);
    expect(await certificateFingerprint(der)).toBe(keys.fingerprint);
  });

  it('have a fingerprint where the key is not at hand', async () => {
    await using context = await aBuildContext({ files: { 'sign-cert/cert': keys.certificate } });
    expect(await certificateFingerprint(context)).toBe(keys.fingerprint);
  });

  it('sign where the certificate is DER', async () => {
    await put(opt(), await readFile(hello));
    await using context = await aContext({ cert: keys.certificateDer });
    await signModules(context, root);
    expect(await verifyImage(context, root)).toHaveLength(1);
  });

  it('are files that only their owner reads, and in no line of the log', async () => {
    await put(opt(), await readFile(hello));
    await using context = await aContext();
    await signModules(context, root);
    const folder = join(context.work, 'private');
    for (const name of await readdir(folder)) expect((await stat(join(folder, name))).mode & 0o777).toBe(0o600);
    expect(context.log.join('\n')).not.toContain('PRIVATE KEY');
  });

  it.each([
    ['the key is another’s', () => ({ key: otherKeys.key }), 'does not belong to the certificate'],
    ['the key is encrypted', () => ({ key: keys.encryptedKey }), 'is encrypted with a passphrase'],
    ['the key is none', () => ({ key: 'x' }), 'cannot be read: it has to be a private key'],
    ['the certificate is none', () => ({ cert: 'x' }), 'cannot be read: it has to be X.509'],
    ['the certificate is a key', () => ({ cert: keys.key }), 'has a private key where its certificate belongs'],
  ])('are refused where %s', async (_what, options, sentence) => {
    await put(opt(), await readFile(hello));
    await using context = await aContext(options());
    for (const work of [certificateFingerprint(context), signModules(context, root)]) {
      const failure = await failureOf(work);
      expect(failure).toMatchObject({ step: 'sign', blame: 'user' });
      expect(failure.message).toContain(sentence);
      expect(`${failure.message}${failure.log}`).not.toContain('PRIVATE KEY');
    }
    expect(await field(opt(), 'signer')).toBe('');
  });
});

it('a key that an authority’s certificate belongs to signs, and verify knows it by the authority’s name', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'kmm-ca-'));
  try {
    const openssl = (words: string) => runOrThrow('openssl', words.split(' '), { cwd: folder });
    await openssl('req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=Authority -keyout ca.key -out ca.crt');
    await openssl('req -newkey rsa:2048 -nodes -subj /CN=Leaf -keyout leaf.key -out leaf.csr');
    await openssl('x509 -req -in leaf.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -out leaf.crt');
    await put(opt(), await readFile(hello));
    await using context = await aContext({
      key: await readFile(join(folder, 'leaf.key'), 'utf8'),
      cert: await readFile(join(folder, 'leaf.crt'), 'utf8'),
    });
    await signModules(context, root);
    expect(await verifyImage(context, root)).toMatchObject([{ signer: 'Authority' }]);
  } finally {
    await rm(folder, { recursive: true });
  }
});

it.each(['/O=Org/CN=First/CN=Last', '/CN=Größe, "a"', '/O=Org', '/CN=Acme+O=Org', '/CN=a \\\\ b'])(
  'a certificate of the subject %s, with a key of an elliptic curve, is known again in what it signed',
  async (subject) => {
    const folder = await mkdtemp(join(tmpdir(), 'kmm-subject-'));
    try {
      const words =
        'req -new -x509 -utf8 -multivalue-rdn -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -set_serial 0x0ab';
      await runOrThrow('openssl', [...words.split(' '), '-subj', subject, '-keyout', 'key', '-out', 'cert'], {
        cwd: folder,
      });
      await put(opt(), await readFile(hello));
      const [key, cert] = await Promise.all(['key', 'cert'].map((name) => readFile(join(folder, name), 'utf8')));
      if (key === undefined || cert === undefined) throw new Error('openssl made no key');
      await using context = await aContext({ key, cert });
      await signModules(context, root);
      expect(await verifyImage(context, root)).toHaveLength(1);
    } finally {
      await rm(folder, { recursive: true });
    }
  },
);

afterAll(async () => {
  // Nothing of ours may have changed the compiled modules, which other tests use too.
  for (const path of [hello, otherHello]) expect(signatures(await readFile(path))).toBe(0);
});
