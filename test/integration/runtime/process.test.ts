import { describe, expect, it } from 'vitest';

import { Program } from './program.ts';

function service(behaviour: string, env: Readonly<Record<string, string>> = {}): Program {
  return new Program('service.ts', { BEHAVIOUR: behaviour, ...env });
}

describe('a process', () => {
  it.each(['SIGTERM', 'SIGINT'] as const)('drains on %s and exits 0', async (signal) => {
    const program = service('drains');
    await program.line('ready');
    program.signal(signal);
    expect(await program.ended).toEqual({ code: 0, signal: null });
    expect(program.messages).toEqual(['ready', 'stopping', 'drained', 'closed', 'stopped']);
    expect(program.lines[1]).toMatchObject({ level: 'info', signal });
  });

  it('exits 0 also when it is stopped before it is ready', async () => {
    const program = service('starts slowly');
    await program.line('ready');
    program.signal('SIGTERM');
    expect(await program.ended).toEqual({ code: 0, signal: null });
    expect(program.messages).toEqual(['ready', 'stopping', 'stopped']);
  });

  it('exits 1 when the time for the shutdown is over, and says what was in the way', async () => {
    const program = service('never ends', { DRAIN_TIMEOUT_MS: '300' });
    await program.line('ready');
    program.signal('SIGTERM');
    expect(await program.ended).toEqual({ code: 1, signal: null });
    expect(program.lines.at(-1)).toMatchObject({ level: 'error', component: 'service', timeoutMs: 300 });
  });

  it('ends at once on a second signal', async () => {
    const program = service('never ends', { DRAIN_TIMEOUT_MS: '3600000' });
    await program.line('ready');
    program.signal('SIGTERM');
    await program.line('stopping');
    program.signal('SIGTERM');
    expect(await program.ended).toEqual({ code: 143, signal: null });
    expect(program.messages).toEqual(['ready', 'stopping', 'second signal: ending at once']);
  });

  it.each([
    ['cannot start', 'stopping after a failure', 'cannot start service: port taken'],
    ['fails', 'stopping after a failure', 'service failed: out of luck'],
    ['throws in a callback', 'unhandled error', 'thrown in a callback'],
    ['forgets a promise', 'unhandled error', 'rejected 1'],
  ])('that %s exits 1 with exactly one line, which says why', async (behaviour, msg, why) => {
    const program = service(behaviour);
    expect(await program.ended).toEqual({ code: 1, signal: null });
    expect(program.lines).toHaveLength(1);
    expect(program.lines).toMatchObject([{ level: 'fatal', msg, err: { message: why } }]);
    expect(program.stderr).toBe('');
  });
});
