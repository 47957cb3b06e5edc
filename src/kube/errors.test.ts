import { describe, expect, test } from 'vitest';
import * as errors from './errors.ts';
import { ApiError, ConnectionError, type StatusDetails } from './errors.ts';

function refusal(status: number, reason: string, details?: StatusDetails): ApiError {
  return new ApiError({ attempted: 'patch nodes n', status, reason, sentence: 'no.', details });
}

const OTHER_UID = { field: 'metadata.uid', message: 'field is immutable' };

describe('what an error is', () => {
  test.each<{ error: unknown; is: readonly string[] }>([
    { error: refusal(401, 'Unauthorized'), is: ['isUnauthorized'] },
    { error: refusal(403, 'Forbidden'), is: ['isForbidden'] },
    { error: refusal(404, 'NotFound'), is: ['isNotFound'] },
    { error: refusal(409, 'Conflict'), is: ['isConflict'] },
    { error: refusal(409, 'AlreadyExists'), is: ['isAlreadyExists'] },
    { error: refusal(410, 'Gone'), is: ['isGone'] },
    { error: refusal(410, 'Expired'), is: ['isGone'] },
    { error: refusal(400, 'Expired'), is: ['isGone'] },
    { error: refusal(422, 'Invalid'), is: ['isInvalid'] },
    { error: refusal(422, 'Invalid', { causes: [{ field: 'spec.selector' }] }), is: ['isInvalid'] },
    { error: refusal(422, 'Invalid', { causes: [OTHER_UID] }), is: ['isConflict'] },
    { error: refusal(422, 'Invalid', { causes: [OTHER_UID, OTHER_UID] }), is: ['isConflict'] },
    { error: refusal(422, 'Invalid', { causes: [OTHER_UID, { field: 'spec.selector' }] }), is: ['isInvalid'] },
    { error: refusal(429, 'TooManyRequests'), is: ['isTooManyRequests'] },
    { error: refusal(500, 'InternalError'), is: [] },
    { error: new ConnectionError('get nodes n: it broke', 'ECONNRESET'), is: [] },
    { error: { status: 404, reason: 'NotFound' }, is: [] },
    { error: undefined, is: [] },
  ])('$error.status $error.reason is $is', ({ error, is }) => {
    const { isUnauthorized, isForbidden, isNotFound, isConflict, isAlreadyExists, isGone } = errors;
    const { isInvalid, isTooManyRequests } = errors;
    const predicates = {
      isUnauthorized,
      isForbidden,
      isNotFound,
      isConflict,
      isAlreadyExists,
      isGone,
      isInvalid,
      isTooManyRequests,
    };
    const answers = Object.entries(predicates).filter(([, predicate]) => predicate(error));
    expect(answers.map(([name]) => name)).toEqual(is);
  });

  test('the message says what was attempted on which object, and then the server’s sentence', () => {
    expect(refusal(404, 'NotFound').message).toBe('patch nodes n: no.');
  });
});
