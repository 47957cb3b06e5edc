import { describe, expect, it } from 'vitest';
import { captureLog } from '../../test/harness/captured-log.ts';
import { describeError, serializeError } from './logger.ts';

describe('createLogger', () => {
  it('writes one JSON object a line: time in RFC 3339, level by name, the keys given, and nothing of the host', () => {
    const { log, lines, text } = captureLog();
    log.child({ controller: 'module' }).info({ namespace: 'a' }, 'reconciled\nwith a line break');
    log.warn('second');
    expect(text().split('\n')).toHaveLength(3);
    expect(lines[0]).toEqual({
      level: 'info',
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      controller: 'module',
      namespace: 'a',
      msg: 'reconciled\nwith a line break',
    });
  });

  it('leaves out what is below its level', () => {
    const { log, lines } = captureLog('warn');
    log.info('no');
    log.error('yes');
    expect(lines.map(({ msg }) => msg)).toEqual(['yes']);
  });

  it('leaks no token that stands in a property of an error or of its cause', () => {
    const { log, text } = captureLog();
    const request = { headers: { authorization: 'Bearer s3cret' } };
    const cause = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED', request });
    const error = Object.assign(new Error('cannot list nodes', { cause }), { status: 503, request, body: 's3cret' });
    log.error({ err: error }, 'reconcile failed');
    log.error(error);
    log.child({ err: error }).info('as a key of a child');
    expect(text()).not.toContain('s3cret');
    expect(text()).toContain('cannot list nodes: connect ECONNREFUSED');
  });
});

describe('serializeError', () => {
  it('gives type, message with causes, code and stack, and nothing else', () => {
    const error = Object.assign(new TypeError('no'), { code: 'ENO', status: 500, other: 1 });
    expect(serializeError(error)).toEqual({ type: 'TypeError', message: 'no', code: 'ENO', stack: error.stack });
  });

  it.each<[string, unknown, string | number | undefined]>([
    ['an HTTP status', Object.assign(new Error('x'), { status: 409 }), 409],
    ['neither', new Error('x'), undefined],
    ['a code that is no scalar', Object.assign(new Error('x'), { code: { secret: 1 } }), undefined],
  ])('takes as the code of an error with %s', (_what, error, code) => {
    expect(serializeError(error).code).toBe(code);
  });

  it('takes what is no error too', () => {
    expect(serializeError('gone')).toEqual({ type: 'string', message: 'gone' });
    expect(serializeError(undefined)).toEqual({ type: 'undefined', message: 'undefined' });
  });
});

describe('describeError', () => {
  const loop = new Error('round');
  loop.cause = loop;

  it.each<[string, unknown, string]>([
    ['an error', new Error('a'), 'a'],
    ['its causes, outermost first', new Error('a', { cause: new Error('b', { cause: 'c' }) }), 'a: b: c'],
    ['a cause that the message tells already', new Error('a: b', { cause: new Error('b') }), 'a: b'],
    ['an error without a message', new TypeError(), 'TypeError'],
    // Node's failure to connect to a name with several addresses has no message of its own.
    ['several errors in one', new AggregateError([new Error('v6'), new Error('v4')]), 'v6; v4'],
    ['a loop of causes', loop, 'round'],
    ['no error at all', undefined, ''],
  ])('tells %s', (_what, error, said) => {
    expect(describeError(error)).toBe(said);
  });
});
