import { describe, expect, it } from 'vitest';
import { answerHeaders, hasBody, onwardHeaders } from './headers.ts';

describe('the headers of a request', () => {
  it('go on without the token, without those of the connection, and without what others say of who asks', () => {
    const onward = onwardHeaders(
      {
        host: 'kmm-registry',
        authorization: 'Basic eA==',
        cookie: 'a=b',
        connection: 'keep-alive, X-Hop',
        'x-hop': '1',
        'transfer-encoding': 'chunked',
        'x-forwarded-for': '10.0.0.1',
        'x-forwarded-proto': 'http',
        forwarded: 'for=10.0.0.1',
        'content-type': 'application/octet-stream',
        range: 'bytes=0-1',
      },
      { scheme: 'https' },
    );
    expect(onward).toEqual({
      host: 'kmm-registry',
      'content-type': 'application/octet-stream',
      range: 'bytes=0-1',
      'x-forwarded-proto': 'https',
    });
  });

  it('keep their length and host whatever Connection says', () => {
    const headers = {
      host: 'kmm-registry',
      connection: 'content-length, Host, x-hop',
      'content-length': '5',
      'x-hop': '1',
    };
    expect(onwardHeaders(headers, { scheme: 'https' })).toEqual({
      host: 'kmm-registry',
      'content-length': '5',
      'x-forwarded-proto': 'https',
    });
  });

  it('get the name of what stands behind, where that knows itself by another', () => {
    expect(onwardHeaders({ host: '127.0.0.1:5780' }, { scheme: 'http', host: 'front' })).toMatchObject({
      host: 'front',
    });
  });

  it('of an answer come back without those of the connection', () => {
    const answer = { 'content-length': '5', connection: 'close', 'docker-content-digest': 'sha256:00' };
    expect(answerHeaders(answer)).toEqual({ 'content-length': '5', 'docker-content-digest': 'sha256:00' });
  });
});

it.each([
  [{}, false],
  [{ 'content-length': '0' }, false],
  [{ 'content-length': '00' }, true],
  [{ 'content-length': '7' }, true],
  [{ 'transfer-encoding': 'chunked' }, true],
  [{ 'transfer-encoding': 'identity', 'content-length': '0' }, true],
])('of the headers %j a body follows: %s', (headers, expected) => {
  expect(hasBody(headers)).toBe(expected);
});
