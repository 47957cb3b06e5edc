import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { redactObject, redactText } from './redact.ts';

describe('a text in a support bundle', () => {
  test.each([
    ['a JSON Web Token', 'token is eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrdWJlIn0.c2lnbmF0dXJl', 'c2lnbmF0dXJl'],
    ['a JSON Web Token behind a hyphen', 'of kmm-eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrdWJlIn0.c2lnbmF0dXJl', 'eyJpc3Mi'],
    ['a bearer token', 'Authorization: Bearer abcdef0123456789', 'abcdef0123456789'],
    ['a password in a URL', 'cloning https://bob:hunter2@git.test/x.git', 'hunter2'],
    ['a password by its word', 'login failed: password=hunter2, retrying', 'hunter2'],
    ['a token as a flag', '--token=hunter2', 'hunter2'],
    ['a token as the next word', 'run --token hunter2hunter2', 'hunter2hunter2'],
    ['a secret in JSON', '{"apiKey": "hunter2"}', 'hunter2'],
    ['a private key', '-----BEGIN RSA PRIVATE KEY-----\nMIIhunter2\n-----END RSA PRIVATE KEY-----', 'hunter2'],
    ['half a private key', '-----BEGIN PRIVATE KEY-----\nMIIhunter2\nmore', 'more'],
  ])('loses %s', (_what, text, secret) => {
    expect(redactText(text)).not.toContain(secret);
    expect(redactText(text)).toContain('<redacted>');
  });

  test.each([
    'modprobe: ERROR: could not insert hello: Key was rejected by service',
    'Error creating: pods "m" is forbidden: violates PodSecurity "baseline:latest"',
    'secrets "registry" not found',
    'the token has expired',
    'pull https://registry.test:5000/a/b@sha256:abc',
  ])('keeps what helps: %s', (text) => {
    expect(redactText(text)).toBe(text);
  });

  it('is read in time that grows with its length alone: the test would not end otherwise', () => {
    for (const part of ['password ', '//', '//aaaaaaaa', '-----BEGIN ', 'eyJaaaaaaaaa.', 'eyJaaaaaaaa-', 'token=']) {
      expect(redactText(part.repeat(50_000)).length).toBeGreaterThan(0);
    }
  });
});

describe('an object in a support bundle', () => {
  const secret = 'hunter2-the-secret';
  const pod = {
    metadata: {
      name: 'p',
      managedFields: [{ manager: 'x' }],
      annotations: {
        'kubectl.kubernetes.io/last-applied-configuration': secret,
        'kmm.node.kubernetes.io/build-request': secret,
        note: 'kept',
      },
    },
    spec: {
      containers: [
        {
          name: 'c',
          image: 'registry.test/a:1',
          args: ['--verbose', `--password=${secret}`],
          env: [
            { name: 'PASSWORD', value: secret },
            { name: 'FROM', valueFrom: { secretKeyRef: { name: 'registry', key: 'k' } } },
          ],
          livenessProbe: { httpGet: { httpHeaders: [{ name: 'X', value: secret }] } },
        },
      ],
      volumes: [
        { name: 's', secret: { secretName: 'registry' } },
        { name: 'v', csi: { volumeAttributes: { key: secret } } },
      ],
      automountServiceAccountToken: false,
      imagePullSecrets: [{ name: 'registry' }],
    },
  };
  const build = { spec: { kernelMappings: [{ build: { buildArgs: [{ name: 'KEY', value: secret }] } }] } };

  it('has no values of variables, arguments, headers and volume drivers, and no annotation that repeats them', () => {
    expect(JSON.stringify(redactObject([pod, build]))).not.toContain(secret);
  });

  it('keeps names, references and what else helps', () => {
    const redacted = JSON.stringify(redactObject(pod));
    for (const kept of [
      'registry.test/a:1',
      '"name":"PASSWORD"',
      '"secretName":"registry"',
      '"name":"registry"',
      '--verbose',
      '"note":"kept"',
      '"automountServiceAccountToken":false',
    ])
      expect(redacted).toContain(kept);
    expect(redacted).not.toContain('managedFields');
  });

  test.each([
    ['--token'],
    ['--password'],
    ['--db-password'],
    ['--client-secret'],
    ['--tls-private-key'],
    ['--apiKey'],
    ['--registry.credentials'],
    ['-passwd'],
  ])('loses what stands behind %s in a command', (flag) => {
    const container = {
      args: [flag, 's3cretvalue', '--verbose'],
      command: ['plugin', flag, '-s3cretvalue'],
      lifecycle: {
        postStart: { exec: { command: ['sh', '-c', `login ${flag} s3cretvalue --verbose`] } },
        preStop: { exec: { command: ['sh', '-c', `logout \\\n  ${flag} \\\n  's3cret value'`] } },
      },
      livenessProbe: { exec: { command: ['check', flag, 's3cretvalue'] } },
    };
    expect(redactObject(container)).toEqual({
      args: [flag, '<redacted>', '--verbose'],
      command: ['plugin', flag, '<redacted>'],
      lifecycle: {
        postStart: { exec: { command: ['sh', '-c', `login ${flag} <redacted> --verbose`] } },
        preStop: { exec: { command: ['sh', '-c', `logout \\\n  ${flag} \\\n  <redacted>`] } },
      },
      livenessProbe: { exec: { command: ['check', flag, '<redacted>'] } },
    });
  });

  it('is read in time that grows with its length alone', () => {
    for (const part of ['--a', '.-a', '--token', '--token ', '--key.-']) {
      const command = [part.repeat(100_000), 'x'];
      expect(redactObject({ command })).toHaveProperty('command');
    }
  });

  test.each([
    [['--token-file', '/run/token', '--key-id', 'a']],
    [['--skip-token', '--verbose']],
    [['modprobe', '-d', '/opt', 'hello']],
    [['token', 'ring']],
  ])('keeps a command without a secret: %j', (command) => {
    expect(redactObject({ command })).toEqual({ command });
  });

  it('is never changed itself, whatever it is', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const before = JSON.stringify(value);
        redactObject(value);
        expect(JSON.stringify(value)).toBe(before);
      }),
    );
  });
});
