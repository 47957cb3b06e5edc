/** The front of the cluster's own registry: a real registry behind it, a real API server that reviews tokens, real skopeo and buildah. */
import { hash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { IncomingHttpHeaders } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { text as textOf } from 'node:stream/consumers';
import { connect as tlsConnect } from 'node:tls';
import { Agent, request } from 'undici';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { LOCKED_IMAGES } from '../../../src/commands/image-lock.ts';
import { pushBaseImage } from '../../harness/build-fixtures.ts';
import { useOperatedCluster } from '../../harness/operated-cluster.ts';
import {
  type AuthorityFile,
  installRegistryComponent,
  publishedAuthority,
  RegistryFront,
  registryToken,
  renderRegistryComponent,
} from '../../harness/registry-front.ts';
import { type RegistryServer, startRegistry } from '../../harness/registry-server.ts';
import { run, runOrThrow } from '../../harness/run.ts';

const kmm = useOperatedCluster('registry-front');
let registry: RegistryServer;
let front: RegistryFront;
let node: RegistryFront;
let authority: AuthorityFile;
let ours: string;
let theirs: string;
let token: string;
let base: string;
let folder: string;
let agent: Agent;
let isDown = false;

beforeAll(async () => {
  registry = await startRegistry();
  base = await pushBaseImage(registry.host, 'elsewhere/base:1');
  await installRegistryComponent(kmm.controlPlane);
  front = await RegistryFront.start(kmm.controlPlane, registry.host);
  authority = await publishedAuthority(kmm.controlPlane);
  node = await RegistryFront.startNode(front.host, authority.path);
  ours = await kmm.cluster.freshNamespace('ours');
  theirs = await kmm.cluster.freshNamespace('theirs');
  token = await registryToken(kmm.controlPlane, ours);
  folder = await mkdtemp(join(tmpdir(), 'kmm-front-'));
  agent = trusting(await authority.text());
});
afterAll(async () => {
  await agent?.close();
  await node?.down();
  await front?.down();
  if (!isDown) await registry?.stop();
  await authority?.remove();
  await rm(folder, { recursive: true, force: true });
});

/** Each request on a connection of its own: the front ends those that idle. */
function trusting(ca: string): Agent {
  return new Agent({ connect: { ca }, pipelining: 0 });
}

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

/** The path goes out letter by letter: most clients would tidy it up first. */
async function ask(method: string, path: string, password?: string): Promise<Answer> {
  const asked = httpsRequest({
    method,
    path,
    host: 'localhost',
    port: front.port,
    ca: await authority.text(),
    agent: false,
    ...(password === undefined ? {} : { auth: `token:${password}` }),
  });
  asked.end();
  return new Promise((resolve, reject) => {
    asked.once('error', reject);
    asked.once('response', (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.once('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }));
    });
  });
}

/** What the front answers to these bytes, until it ends the connection. */
async function exchange(bytes: string): Promise<string> {
  const socket = tlsConnect({ host: 'localhost', port: front.port, ca: await authority.text() });
  socket.end(bytes);
  return textOf(socket);
}

/** skopeo, with the certificate that the front has made known and no other. */
async function skopeo(...args: string[]) {
  const certificates = join(folder, 'certs');
  await runOrThrow('mkdir', ['-p', certificates]);
  await writeFile(join(certificates, 'ca.crt'), await authority.text());
  return run('skopeo', args, { env: { PATH: '/usr/bin:/bin', HOME: folder, SSL_CERT_DIR: certificates } });
}

async function copy(to: string, credentials: string): Promise<Awaited<ReturnType<typeof skopeo>>> {
  return skopeo(
    'copy',
    '--insecure-policy',
    '--src-tls-verify=false',
    `--dest-creds=token:${credentials}`,
    `docker://${base}`,
    `docker://${to}`,
  );
}

describe('who may push', () => {
  it('is a ServiceAccount of the namespace that the repository stands below, with its token as password', async () => {
    const pushed = await copy(`${front.host}/${ours}/kmod:1`, token);
    expect(pushed).toMatchObject({ code: 0 });
    expect(await registry.tags(`${ours}/kmod`)).toEqual(['1']);
  });

  it.each<[string, () => Promise<string> | string, number, RegExp]>([
    [
      'a token of another namespace',
      () => registryToken(kmm.controlPlane, theirs),
      403,
      /pushes below theirs-\w+\/ only/,
    ],
    [
      'a token for the API server',
      () => registryToken(kmm.controlPlane, ours, 'https://kubernetes.default.svc'),
      401,
      /audience kmm-registry/,
    ],
    ['a token that was changed', () => `${token.slice(0, -8)}AAAAAAAA`, 401, /no token of this cluster/],
    ['no token at all, but a word', () => 'secret', 401, /no token of this cluster/],
    ['an empty password', () => '', 401, /needs a token/],
  ])('is nobody with %s', async (_what, password, status, sentence) => {
    const answer = await ask('POST', `/v2/${ours}/kmod/blobs/uploads/`, await password());
    expect(answer.status).toBe(status);
    expect(answer.text).toMatch(sentence);
    if (status === 401) expect(answer.headers['www-authenticate']).toBe('Basic realm="kmm-registry"');
  });

  it('is nobody without credentials', async () => {
    expect(await ask('PUT', `/v2/${ours}/kmod/manifests/1`)).toMatchObject({ status: 401 });
  });

  it.each([
    ['a repository that is called after the namespace alone', 'POST', (ns: string) => `/v2/${ns}/blobs/uploads/`, 403],
    ['a way up', 'POST', (ns: string) => `/v2/${ns}/../elsewhere/base/blobs/uploads/`, 404],
    ['an escaped slash', 'POST', (ns: string) => `/v2/${ns}%2fkmod/blobs/uploads/`, 404],
    ['two slashes', 'POST', (ns: string) => `/v2/${ns}//kmod/blobs/uploads/`, 404],
    ['capitals', 'POST', (ns: string) => `/v2/${ns.toUpperCase()}/kmod/blobs/uploads/`, 404],
    ['a deletion', 'DELETE', (ns: string) => `/v2/${ns}/kmod/manifests/1`, 405],
    ['the catalogue', 'GET', () => '/v2/_catalog', 404],
    [
      'a mount from what is no repository',
      'POST',
      (ns: string) => `/v2/${ns}/kmod/blobs/uploads/?mount=sha256:00&from=../x`,
      400,
    ],
  ] as const)('may not ask for %s', async (_what, method, path, status) => {
    expect(await ask(method, path(ours), token)).toMatchObject({ status });
  });

  it('the tools say why in words that the build understands', async () => {
    const pushed = await copy(`${front.host}/${theirs}/kmod:1`, token);
    expect(pushed.code).not.toBe(0);
    expect(pushed.stderr).toMatch(/denied|403/);
    expect(await registry.tags(`${theirs}/kmod`)).toEqual([]);
  });

  it('a token stands in no log, nor what it is made of', () => {
    expect(front.log).toContain('"path":"/v2/');
    for (const part of token.split('.')) expect(front.log).not.toContain(part);
    expect(front.log).not.toContain(Buffer.from(`token:${token}`).toString('base64'));
  });
});

describe('who may read', () => {
  it('is everybody: skopeo and buildah without credentials, over TLS', async () => {
    const looked = await skopeo('inspect', `docker://${front.host}/elsewhere/base:1`);
    expect(looked).toMatchObject({ code: 0 });
  });

  it('is a node, by plain HTTP on its loopback', async () => {
    const to = join(folder, 'pulled');
    const pulled = await skopeo(
      'copy',
      '--insecure-policy',
      '--src-tls-verify=false',
      `docker://${node.host}/elsewhere/base:1`,
      `dir:${to}`,
    );
    expect(pulled).toMatchObject({ code: 0 });
  });

  it('is not told who asks there: nothing is pushed by way of a node, whoever it is', async () => {
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE'] as const) {
      const answer = await fetch(`http://${node.host}/v2/${ours}/kmod/blobs/uploads/`, {
        method,
        headers: { authorization: `Basic ${Buffer.from(`token:${token}`).toString('base64')}` },
      });
      expect(answer.status).toBe(405);
    }
  });
});

describe('bodies', () => {
  const size = 24 * 1024 * 1024;

  it('of tens of megabytes go through in pieces and in part, and come back as they were', async () => {
    const blob = Buffer.alloc(size, 'kernel module management ');
    const digest = `sha256:${hash('sha256', blob, 'hex')}`;
    const headers = { authorization: `Basic ${Buffer.from(`token:${token}`).toString('base64')}` };
    const started = await request(`https://${front.host}/v2/${ours}/big/blobs/uploads/`, {
      method: 'POST',
      dispatcher: agent,
      headers,
    });
    await started.body.dump();
    const location = String(started.headers.location);
    // No content-length: chunked, as buildah sends layers.
    async function* pieces() {
      for (let at = 0; at < size; at += 1024 * 1024) yield blob.subarray(at, at + 1024 * 1024);
    }
    const sent = await request(location, {
      method: 'PATCH',
      dispatcher: agent,
      headers,
      body: Readable.from(pieces()),
    });
    await sent.body.dump();
    expect(sent.statusCode).toBe(202);
    const url = new URL(String(sent.headers.location));
    url.searchParams.set('digest', digest);
    const put = await request(url, { method: 'PUT', dispatcher: agent, headers });
    expect([put.statusCode, await put.body.text()]).toEqual([201, '']);
    const part = await fetch(`http://${node.host}/v2/${ours}/big/blobs/${digest}`, {
      headers: { range: 'bytes=25-49' },
    });
    expect([part.status, await part.text()]).toEqual([206, 'kernel module management ']);
    const whole = await fetch(`http://${node.host}/v2/${ours}/big/blobs/${digest}`);
    expect(Buffer.compare(Buffer.from(await whole.arrayBuffer()), blob)).toBe(0);
  });

  it.each([
    ['GET', ['Transfer-Encoding: chunked']],
    ['HEAD', ['Transfer-Encoding: chunked']],
    ['GET', ['Connection: content-length', 'LENGTH']],
    ['GET', ['LENGTH']],
  ])('of a %s with %j are refused: its bytes would be a request that nobody has judged', async (method, headers) => {
    const mediaType = 'application/vnd.oci.image.index.v1+json';
    const manifest = JSON.stringify({ schemaVersion: 2, mediaType, manifests: [] });
    const smuggled = [
      `PUT /v2/${theirs}/smuggled/manifests/1 HTTP/1.1`,
      'Host: x',
      `Content-Type: ${mediaType}`,
      `Content-Length: ${manifest.length}`,
      '',
      manifest,
    ].join('\r\n');
    const body = headers.includes('LENGTH') ? smuggled : `${smuggled.length.toString(16)}\r\n${smuggled}\r\n0\r\n\r\n`;
    const head = headers.map((header) => (header === 'LENGTH' ? `Content-Length: ${smuggled.length}` : header));
    const answer = await exchange(
      [`${method} /v2/${ours}/kmod/tags/list HTTP/1.1`, 'Host: x', ...head, '', body].join('\r\n'),
    );
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    expect((await fetch(`http://${registry.host}/v2/${theirs}/smuggled/tags/list`)).status).toBe(404);
  });

  it('that a client gives up do not keep the front: it ends in time, and with 0', async () => {
    const stop = new AbortController();
    async function* endless() {
      yield Buffer.alloc(1024 * 1024);
      stop.abort();
      await new Promise(() => undefined);
    }
    const headers = { authorization: `Basic ${Buffer.from(`token:${token}`).toString('base64')}` };
    const started = await request(`https://${front.host}/v2/${ours}/cut/blobs/uploads/`, {
      method: 'POST',
      dispatcher: agent,
      headers,
    });
    await started.body.dump();
    const sending = request(String(started.headers.location), {
      method: 'PATCH',
      dispatcher: agent,
      headers,
      body: Readable.from(endless()),
      signal: stop.signal,
    });
    await expect(sending).rejects.toThrow();
    expect(await front.down('SIGTERM')).toBe(0);
    await front.up();
    await authority.refresh();
    await agent.close();
    agent = trusting(await authority.text());
  });
});

describe('trouble', () => {
  it('a front that started anew has another authority, which its node finds by itself', async () => {
    const before = await authority.text();
    await front.down();
    await front.up();
    expect((await fetch(`http://${node.host}/v2/elsewhere/base/tags/list`)).status).toBe(502);
    await authority.refresh();
    expect(await authority.text()).not.toBe(before);
    expect((await fetch(`http://${node.host}/v2/elsewhere/base/tags/list`)).status).toBe(200);
    await agent.close();
    agent = trusting(await authority.text());
  });

  it('a registry that is down is a sentence, and no readiness', async () => {
    await registry.stop();
    isDown = true;
    const answer = await ask('GET', '/v2/elsewhere/base/tags/list');
    expect(answer.status).toBe(502);
    expect(answer.text).toMatch(/the registry behind, localhost:\d+, does not answer/);
    expect((await ask('GET', '/readyz')).status).toBe(503);
    expect((await ask('GET', '/healthz')).status).toBe(200);
  });
});

describe('config/components/registry', () => {
  it('can be laid over the roles of the operator, with a volume too', async () => {
    const text = await renderRegistryComponent(kmm.controlPlane, ['registry', 'registry-volume']);
    expect(text).toContain('claimName: kmm-registry');
    expect(text).not.toContain('emptyDir');
    const references = LOCKED_IMAGES.map(({ repository, tag }) => `${repository}:${tag}`);
    for (const [, image] of text.matchAll(/ image: (.+)/g)) expect(references).toContain(image);
  });
});
