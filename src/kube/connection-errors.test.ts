import { describe, expect, test } from 'vitest';
import { connectionErrorOf, isReset } from './connection-errors.ts';
import { ConnectionError } from './errors.ts';

const facts = { server: 'https://server:6443', caSource: '/ca.crt', description: 'kubeconfig /k' };

function errorOf(code: string, message = 'words', connection: Parameters<typeof connectionErrorOf>[1] = facts) {
  return connectionErrorOf('get nodes n', connection, Object.assign(new Error(message), { code }));
}

describe('connectionErrorOf', () => {
  test.each([
    ['SELF_SIGNED_CERT_IN_CHAIN', 'the certificate of https://server:6443 is not signed by the CA in /ca.crt'],
    ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'is not signed by the CA in /ca.crt'],
    ['CERT_SIGNATURE_FAILURE', 'is not signed by the CA in /ca.crt'],
    ['CERT_HAS_EXPIRED', 'is out of date (CERT_HAS_EXPIRED). Renew it'],
    ['ERR_TLS_CERT_ALTNAME_INVALID', 'is for other names (words)'],
    ['ECONNREFUSED', 'nobody listens at https://server:6443 (ECONNREFUSED)'],
    ['ENOTFOUND', 'has no address (ENOTFOUND). Check the name in kubeconfig /k, and DNS'],
    ['UND_ERR_CONNECT_TIMEOUT', 'does not take connections'],
    ['UND_ERR_BODY_TIMEOUT', 'did not answer in time'],
    ['UND_ERR_RES_EXCEEDED_MAX_SIZE', 'List in pages'],
    ['UND_ERR_DESTROYED', 'the client has been closed'],
    ['ECONNRESET', 'the connection to https://server:6443 broke (ECONNRESET)'],
    ['SOMETHING_NEW', 'there was no answer from https://server:6443: words'],
  ])('%s', (code, sentence) => {
    const error = errorOf(code);
    expect(error.message).toMatch(/^get nodes n: /);
    expect(error.message).toContain(sentence);
    expect(error.code).toBe(code);
  });

  test('names the proxy, and not its password', () => {
    const { message } = errorOf('ECONNREFUSED', '', { ...facts, proxyUrl: 'http://user:secret@proxy:3128' });
    expect(message).toContain('nobody listens at https://server:6443 through the proxy http://proxy:3128/');
    expect(message).not.toContain('secret');
  });

  test('finds the code in a cause', () => {
    const inner = Object.assign(new Error('inner'), { code: 'ECONNREFUSED' });
    expect(connectionErrorOf('x', facts, new Error('fetch failed', { cause: inner })).code).toBe('ECONNREFUSED');
    expect(connectionErrorOf('x', facts, 'words')).toMatchObject({
      code: 'UNKNOWN',
      message: expect.stringContaining('words'),
    });
  });
});

test.each([
  ['ECONNRESET', true],
  ['EPIPE', true],
  ['UND_ERR_SOCKET', true],
  ['ECONNREFUSED', false],
  ['UND_ERR_HEADERS_TIMEOUT', false],
])('a %s is a reset: %s', (code, reset) => {
  expect(isReset(new ConnectionError('x', code))).toBe(reset);
  expect(isReset({ code })).toBe(false);
});
