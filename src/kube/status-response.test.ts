import { describe, expect, test } from 'vitest';
import { apiErrorOf } from './status-response.ts';

const attempted = 'get nodes n';
const unservedHint = 'the server knows no nodes.';

function errorOf(status: number, body: unknown, retryAfter?: string) {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return apiErrorOf({ attempted, unservedHint, status, retryAfter, body: text });
}

describe('an answer that is no success', () => {
  test('gives the Status’s reason, sentence, details and time to come back', () => {
    const causes = [{ reason: 'FieldValueInvalid', message: 'no', field: 'spec.x' }];
    const details = { name: 'n', kind: 'nodes', causes, retryAfterSeconds: 2 };
    const error = errorOf(422, { kind: 'Status', reason: 'Invalid', message: 'nodes "n" is invalid', details });
    expect(error).toMatchObject({
      status: 422,
      reason: 'Invalid',
      message: 'get nodes n: nodes "n" is invalid',
      details: { name: 'n', kind: 'nodes', causes },
      retryAfterMs: 2_000,
    });
  });

  test('the header’s time to come back goes before the body’s', () => {
    const body = { kind: 'Status', details: { retryAfterSeconds: 2 } };
    expect(errorOf(429, body, '5').retryAfterMs).toBe(5_000);
  });

  test.each([
    [401, 'Unauthorized'],
    [403, 'Forbidden'],
    [404, 'NotFound'],
    [409, 'Conflict'],
    [410, 'Expired'],
    [422, 'Invalid'],
    [429, 'TooManyRequests'],
    [502, 'Unknown'],
  ])('a %d without a Status has the reason %s', (status, reason) => {
    expect(errorOf(status, 'words').reason).toBe(reason);
  });

  test('a path that nobody serves is told as a kind that is not there', () => {
    expect(errorOf(404, '404 page not found\n').message).toBe(`${attempted}: ${unservedHint}`);
  });

  test('a page of a proxy is quoted in one short line', () => {
    const { message } = errorOf(502, `<html>\n  <h1>Bad\tGateway</h1>${'x'.repeat(9_999)}`);
    expect(message).toContain("status 502, and not in the API server's own words: <html> <h1>Bad Gateway</h1>");
    expect(message).not.toContain('\n');
    expect(message.length).toBeLessThan(400);
  });

  test.each(['', '   '])('no words at all (%j) still make a sentence', (body) => {
    expect(errorOf(500, body).message).toBe(`${attempted}: status 500, without a word`);
  });

  test.each([[[1]], ['"text"'], [{ kind: 'Status', message: 7, details: 'x' }], [null]])(
    '%j breaks nothing',
    (body) => {
      expect(errorOf(500, body).status).toBe(500);
    },
  );

  test('a sentence of any length is cut', () => {
    expect(errorOf(500, { kind: 'Status', message: 'x'.repeat(100_000) }).message.length).toBeLessThan(5_000);
  });
});
