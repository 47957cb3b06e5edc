import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { buildFiles } from './files.ts';
import { redactor, redactorOf, SHORTEST_SECRET, secretsIn } from './redact.ts';

test.each([
  ['a secret in the middle of a line', ['hunter22'], 'login with hunter22 failed', 'login with *** failed'],
  ['two of them side by side', ['hunter22', 'swordfish'], 'hunter22swordfish', '******'],
  ['the longer of two that begin alike', ['secret', 'secret-and-more'], 'x secret-and-more', 'x ***'],
  ['its end of line is no part of it', ['hunter22\n'], 'hunter22', '***'],
  ['each line of it', ['first line\nsecond line'], 'got: second line', 'got: ***'],
  ['all of its lines', ['first line\nsecond line'], 'first line\nsecond line', '***\n***'],
  ['in base64', ['user:hunter22'], 'Basic dXNlcjpodW50ZXIyMg==', 'Basic ***'],
  ['as part of a URL', ['p@ss/word'], 'https://u:p%40ss%2Fword@host/', 'https://u:***@host/'],
  ['as part of JSON', ['say "hi" now'], String.raw`{"p":"say \"hi\" now"}`, '{"p":"***"}'],
])('%s is taken away', (_, secrets, text, expected) => {
  expect(redactor(secrets)(text)).toBe(expected);
});

test.each([
  ['a secret of less than six characters', ['abc'], 'abc is a word'],
  ['the frame of a PEM file', ['-----BEGIN KEY-----\nMIIBVQIBADANBg\n-----END KEY-----'], '-----BEGIN KEY-----'],
  ['a text without a secret', ['hunter22'], 'gcc -O2 -c hunter.c'],
])('%s stays', (_, secrets, text) => {
  expect(redactor(secrets)(text)).toBe(text);
});

test('a very long line of a secret is taken away whole, and of a part only its begin and its end of a few characters may stay', () => {
  const long = Array.from({ length: 3000 }, (_, index) => String.fromCharCode(97 + ((index * index) % 26))).join('');
  expect(redactor([long])(`x ${long} y`).replaceAll('*', '')).toBe('x  y');
});

test('no secret of six characters or more is ever left in a text', () => {
  const secret = fc.string({ minLength: SHORTEST_SECRET, maxLength: 400 }).filter((text) => !/^-----|\*/.test(text));
  const property = fc.property(
    fc.array(secret, { minLength: 1, maxLength: 5 }),
    fc.array(fc.string()),
    (secrets, rest) => {
      const text = secrets.map((each, index) => `${rest[index] ?? ''}|${each}|`).join(' ');
      const left = redactor(secrets)(text);
      for (const each of secrets) {
        if (each.trim().length >= SHORTEST_SECRET) expect(left).not.toContain(`|${each}|`);
      }
    },
  );
  fc.assert(property);
});

test('a text of a million characters that nearly match is masked in linear time', () => {
  const near = 'a'.repeat(1_000_000);
  // A quadratic way would take minutes: the test would run into its time limit.
  expect(redactor([`${'a'.repeat(200)}b`, `${'a'.repeat(100_000)}b`])(near).length).toBeLessThanOrEqual(near.length);
});

const AUTH = Buffer.from('robot:s3cr3t-pass').toString('base64');

test.each([
  ['a docker configuration', { auths: { 'quay.io': { auth: AUTH } } }],
  ['one of the old form', { 'quay.io': { auth: AUTH } }],
  ['one with the password apart', { auths: { 'quay.io': { username: 'operator', password: 's3cr3t-pass' } } }],
  ['one with a header', { auths: {}, HttpHeaders: { Authorization: 's3cr3t-pass' } }],
  ['any other JSON', { apiToken: 's3cr3t-pass' }],
  ['a list in JSON', [{ hosts: ['none', { keys: ['s3cr3t-pass'] }] }]],
  ['one text in JSON', 's3cr3t-pass'],
])('%s gives what is secret in it, and the names of hosts and users stay', (_, config) => {
  const redact = redactor(secretsIn(JSON.stringify(config)));
  expect(redact('operator at quay.io: s3cr3t-pass')).toBe('operator at quay.io: ***');
  expect(redact(`the file is ${JSON.stringify(config)}`)).toBe('the file is ***');
});

test('what a docker configuration encodes is known as it is, decoded, and as the password alone', () => {
  const redact = redactor(secretsIn(JSON.stringify({ auths: { 'quay.io': { auth: AUTH } } })));
  expect(redact(`${AUTH} robot:s3cr3t-pass s3cr3t-pass`)).toBe('*** *** ***');
});

test.each([
  ['no JSON', 'no json'],
  ['JSON that is nested very deep', `${'['.repeat(200_000)}"deep-secret"${']'.repeat(200_000)}`],
])('%s is secret as a whole', (_, text) => {
  expect(secretsIn(text)).toContain(text);
});

test('every secret file of a pod is known, through the links that the kubelet makes, and words that are none stay', async () => {
  const root = await mkdtemp(join(tmpdir(), 'kmm-redact-'));
  try {
    const files = buildFiles(root);
    const version = join(files.gitSecret, '..2026');
    await mkdir(version, { recursive: true });
    await writeFile(join(version, 'password'), 'git-password');
    await writeFile(join(version, 'username'), 'debian');
    await symlink('..2026', join(files.gitSecret, '..data'));
    for (const name of ['password', 'username']) await symlink(join('..data', name), join(files.gitSecret, name));
    await mkdir(join(files.buildSecrets, 'entitlement'), { recursive: true });
    await writeFile(join(files.buildSecrets, 'entitlement', 'id.pem'), 'entitlement-key');
    await writeFile(join(files.buildSecrets, 'entitlement', 'config.json'), '{"apiToken":"s3cr3t-value"}');
    await mkdir(join(root, 'sign-key'));
    await writeFile(files.signKey, '-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkq\n-----END PRIVATE KEY-----\n');
    const redact = await redactorOf(files);
    expect(redact('git-password entitlement-key s3cr3t-value MIIEvQIBADANBgkq debian password')).toBe(
      '*** *** *** *** debian password',
    );
  } finally {
    await rm(root, { recursive: true });
  }
});
