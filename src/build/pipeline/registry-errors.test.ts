import { describe, expect, test } from 'vitest';
import {
  clusterRegistrySentences,
  REGISTRY_PROBLEM_KINDS,
  type RegistryPlace,
  type RegistryProblemKind,
  registryProblem,
  registrySentences,
} from './registry-errors.ts';

const PLACE: RegistryPlace = {
  use: 'push',
  reference: 'r.example:5000/kmods/kmod:v1',
  registry: 'r.example:5000',
  hasCredentials: () => true,
};

const pinging = (end: string): string =>
  `level=fatal msg="Error parsing image name \\"docker://r.example:5000/kmods/kmod:v1\\": pinging container registry r.example:5000: Get \\"https://r.example:5000/v2/\\": ${end}"`;
const upload = (end: string): string =>
  `Error: pushing image "abc" to "docker://r.example:5000/kmods/kmod:v1": writing blob: ${end}`;

/** As skopeo 1.9.3 and buildah 1.28.2 print them. */
const LINES: readonly (readonly [RegistryProblemKind, string])[] = [
  ['refused', pinging('dial tcp 127.0.0.1:5000: connect: connection refused')],
  ['refused', pinging('dial tcp 10.0.0.1:5000: connect: no route to host')],
  ['name-unknown', pinging('dial tcp: lookup r.example on 10.96.0.10:53: no such host')],
  ['name-unknown', pinging('dial tcp: lookup r.example on 10.96.0.10:53: server misbehaving')],
  ['timeout', pinging('dial tcp 10.0.0.1:5000: i/o timeout')],
  ['timeout', pinging('net/http: TLS handshake timeout')],
  ['timeout', 'level=fatal msg="Error parsing image name: context deadline exceeded"'],
  ['plain-http', pinging('http: server gave HTTP response to HTTPS client')],
  ['authority-unknown', pinging('x509: certificate signed by unknown authority')],
  [
    'certificate-expired',
    pinging('x509: certificate has expired or is not yet valid: current time 2026-11-24 is after 2026-11-01'),
  ],
  [
    'certificate-name',
    pinging("x509: cannot validate certificate for 127.0.0.1 because it doesn't contain any IP SANs"),
  ],
  ['certificate-name', pinging('x509: certificate is valid for other.example, not r.example')],
  ['wrong-credentials', 'reading manifest v1 in r.example:5000/kmods/kmod: unauthorized: authentication required'],
  ['denied', 'reading manifest v1 in r.example:5000/kmods/kmod: denied: requested access to the resource is denied'],
  [
    'denied',
    'reading manifest v1 in docker.io/kmods/kmod: errors:\\ndenied: requested access to the resource is denied\\nunauthorized: authentication required',
  ],
  [
    'not-authorized',
    'reading manifest v1 in r.example:5000/kmods/kmod: unauthorized: access to the requested resource is not authorized',
  ],
  ['not-there', 'reading manifest v1 in r.example:5000/kmods/kmod: manifest unknown: manifest unknown'],
  [
    'not-there',
    'reading manifest v1 in r.example:5000/kmods/kmod: name unknown: repository name not known to registry',
  ],
  [
    'rate-limited',
    'reading manifest v1 in docker.io/library/debian: toomanyrequests: You have reached your pull rate limit.',
  ],
  ['rate-limited', upload('received unexpected HTTP status: 429 Too Many Requests')],
  ['server-error', upload('received unexpected HTTP status: 500 Internal Server Error')],
  ['server-error', upload('uploading layer chunked: received unexpected HTTP status: 503 Service Unavailable')],
  ['server-error', upload('unknown: unknown error')],
  [
    'server-error',
    upload('uploading layer to http://r.example:5000/v2/k/blobs/uploads/1-2?_state=a-429-b%3D%3D: blob upload invalid'),
  ],
  ['disk-full-there', upload('received unexpected HTTP status: 507 Insufficient Storage')],
  ['disk-full-there', upload('unknown: no space left on device')],
  ['disk-full-here', 'Error: writing layer: write /var/lib/kmm-build/storage/overlay/tmp123: no space left on device'],
  [
    'cut',
    upload(
      'Patch "http://r.example:5000/v2/kmods/kmod/blobs/uploads/1": write tcp 127.0.0.1:1->127.0.0.1:5000: write: connection reset by peer',
    ),
  ],
  [
    'cut',
    upload(
      'Patch "http://r.example:5000/v2/kmods/kmod/blobs/uploads/1": write tcp 127.0.0.1:1->127.0.0.1:5000: use of closed network connection',
    ),
  ],
  ['cut', upload('Patch "http://r.example:5000/v2/kmods/kmod/blobs/uploads/1": EOF')],
];

test.each(LINES)('it is %s when the tool says: %s', (kind, line) => {
  expect(registryProblem(['something before', line], PLACE)?.kind).toBe(kind);
});

test('every kind has a line above, but for the one that is told by what was sent', () => {
  expect(new Set([...LINES.map(([kind]) => kind), 'no-credentials'])).toEqual(new Set(REGISTRY_PROBLEM_KINDS));
});

test('without credentials a 401 is another sentence than with wrong ones', () => {
  const lines = ['reading manifest v1 in r.example:5000/kmods/kmod: unauthorized: authentication required'];
  const wrong = registryProblem(lines, PLACE);
  const missing = registryProblem(lines, { ...PLACE, hasCredentials: () => false });
  expect(missing?.kind).toBe('no-credentials');
  expect(missing?.sentence).not.toBe(wrong?.sentence);
});

test.each([
  ['nothing', []],
  ['a compiler’s words', ['dummy.c:429: error: expected declaration']],
  ['a file that may not be read', ['Error: open /x: permission denied']],
])('%s is no trouble of a registry', (_, lines) => {
  expect(registryProblem(lines, PLACE)).toBeUndefined();
});

test('neither a digest nor a port is a status', () => {
  const line = `Copying blob sha256:${'429'.padEnd(64, '5')} to localhost:500`;
  expect(registryProblem([line, 'at 127.0.0.1:404'], PLACE)).toBeUndefined();
});

describe.each([
  '5.14.0-401.el9.x86_64',
  '5.14.0-403.el9.x86_64',
  '5.14.0-404.el9.x86_64',
  '5.14.0-429.el9.x86_64',
  '5.14.0-503.el9.x86_64',
  '6.1.0-507-generic',
  'v1.404',
  'v404',
  '404-rc.1',
  '404',
  '503',
  'denied',
  'unknown',
])('an image with the tag %s', (tag) => {
  const place: RegistryPlace = { ...PLACE, reference: `r.example:5000/kmods/driver:${tag}` };
  const fronts = [
    `reading manifest ${tag} in r.example:5000/kmods/driver: `,
    `writing manifest: uploading manifest ${tag} to r.example:5000/kmods/driver: `,
    `level=fatal msg="Error parsing image name \\"docker://r.example:5000/kmods/driver:${tag}\\": reading manifest ${tag} in r.example:5000/kmods/driver: `,
    `initializing source docker://r.example:5000/kmods/driver:${tag}: `,
    `Get "https://r.example:5000/v2/kmods/driver/manifests/${tag}": `,
    `r.example:5000/kmods/driver:${tag}: `,
  ];

  test.each(fronts)('is not taken for a status: %s', (front) => {
    expect(registryProblem([`${front}no image found in manifest list for architecture arm64`], place)).toBeUndefined();
  });

  test.each([
    ['received unexpected HTTP status: 503 Service Unavailable', 'server-error'],
    ['invalid status code from registry 403 (Forbidden)', 'denied'],
    ['StatusCode: 404, <html>', 'not-there'],
    ['manifest unknown: manifest unknown', 'not-there'],
    ['unauthorized: authentication required', 'wrong-credentials'],
    ['toomanyrequests: slow down', 'rate-limited'],
  ] as const)('leaves a registry’s own words as they are: %s', (words, kind) => {
    expect(fronts.map((front) => registryProblem([front + words], place)?.kind)).toEqual(fronts.map(() => kind));
  });
});

test.each([
  ['of another image', 'copying docker://o.example/vendor-403/driver:5.14.0-404.el9 : something new'],
  ['of a file', 'reading /lib/modules/5.14.0-503/build: something new'],
  ['of a kernel', 'kernel 5.14.0-401.el9.x86_64 is odd'],
])('a number in the name %s is no status', (_, line) => {
  expect(registryProblem([line], PLACE)).toBeUndefined();
});

test('the registry of a FROM line is named, not the one that the image goes to', () => {
  const line =
    'Error: creating build container: initializing source docker://other.example/base:1: pinging container registry other.example: Get "https://other.example/v2/": dial tcp 10.0.0.1:443: connect: connection refused';
  expect(registryProblem([line], { ...PLACE, use: 'pull' })?.sentence).toMatch(
    /^The registry other\.example cannot be reached/,
  );
});

describe.each(['check', 'pull', 'push'] as const)('for the use %s', (use) => {
  test.each(LINES)('a sentence names the registry, the fact and the next step: %s', (_, line) => {
    const { sentence = '' } = registryProblem([line], { ...PLACE, use }) ?? {};
    expect(sentence).toMatch(/r\.example:5000|docker\.io/);
    expect(sentence).not.toMatch(/[{}]/);
    expect(sentence).toMatch(/^[^.]*.*\. .*\.$/);
  });

  test('the field that is to be set is the one of that use', () => {
    const { sentence } =
      registryProblem([pinging('http: server gave HTTP response to HTTPS client')], { ...PLACE, use }) ?? {};
    expect(sentence).toContain(`Set build.${use === 'pull' ? 'pull' : 'push'}.insecure: true`);
  });
});

test('the table for the documentation has a different sentence and a cure for every kind', () => {
  const table = registrySentences();
  expect(new Set(table.map(({ kind }) => kind))).toEqual(new Set(REGISTRY_PROBLEM_KINDS));
  expect(new Set(table.map(({ fact }) => fact)).size).toBe(table.length);
  for (const { fact, cure } of table) expect(`${fact} ${cure}`).not.toMatch(/[{}]|\.\./);
});

test("the table for the cluster's own registry has sentences of its own, and no cure there is a Secret", () => {
  const general = registrySentences();
  const table = clusterRegistrySentences();
  expect(table.length).toBeGreaterThan(0);
  for (const row of table) {
    expect(general).not.toContainEqual(row);
    expect(`${row.fact} ${row.cure}`).not.toMatch(/[{}]|\.\.|Secret/);
  }
});

test.each([
  ['x509: certificate signed by unknown authority', 'infrastructure', /newer authority than this build knows/],
  ['denied: a ServiceAccount of a pushes below a/ only', 'user', /does not let a build of this namespace push/],
  [
    'unauthorized: authentication required',
    'infrastructure',
    /does not accept the token of the build's ServiceAccount/,
  ],
  ['dial tcp: connect: connection refused', 'infrastructure', /nothing listens there/],
])("of the cluster's own registry, %s has a meaning and a cure of its own", (words, blame, sentence) => {
  const place = {
    use: 'push',
    reference: 'kmm-registry.svc/a/kmod:1',
    registry: 'kmm-registry.svc',
    hasCredentials: () => true,
    isCluster: (host: string) => host === 'kmm-registry.svc',
  } as const;
  const problem = registryProblem([words], place);
  expect(problem).toMatchObject({ blame, sentence: expect.stringMatching(sentence) });
  expect(problem?.sentence).not.toContain('Secret');
});
