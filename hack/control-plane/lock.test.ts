import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';

import { expect, test } from 'vitest';

import { withLock } from './lock.ts';

test('two holders of one lock never run at the same time, and the second is told who holds it', async () => {
  const name = randomUUID();
  const waitedFor: string[] = [];
  let running = 0;
  let most = 0;
  const work = async () => {
    running++;
    most = Math.max(most, running);
    await new Promise((resolve) => setImmediate(resolve));
    running--;
  };
  await Promise.all(Array.from({ length: 8 }, () => withLock(name, work, { onWait: (pid) => waitedFor.push(pid) })));
  expect(most).toBe(1);
  expect(waitedFor).toContain(String(process.pid));
});

test('locks of different names do not wait for one another', async () => {
  await withLock(randomUUID(), () => withLock(randomUUID(), async () => undefined));
});

test('work that fails gives the lock back', async () => {
  const name = randomUUID();
  await expect(withLock(name, () => Promise.reject(new Error('no')))).rejects.toThrow('no');
  await expect(withLock(name, async () => 'ran')).resolves.toBe('ran');
});

test('the lock of a process that was killed is free at once', async () => {
  const name = randomUUID();
  const script = `
    const { withLock } = await import(${JSON.stringify(import.meta.resolve('./lock.ts'))});
    await withLock(${JSON.stringify(name)}, () => { console.log('held'); return new Promise(() => setInterval(() => {}, 1e6)); });
  `;
  const holder = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(holder.stdout, 'data');
  const waitedFor: string[] = [];
  const second = withLock(name, async () => 'ran', {
    onWait: (pid) => {
      waitedFor.push(pid);
      holder.kill('SIGKILL');
    },
  });
  await expect(second).resolves.toBe('ran');
  expect(waitedFor).toEqual([String(holder.pid)]);
});

test('waiting ends when it is aborted', async () => {
  const name = randomUUID();
  const aborted = new AbortController();
  await withLock(name, async () => {
    const second = withLock(name, async () => 'ran', { onWait: () => aborted.abort(), signal: aborted.signal });
    await expect(second).rejects.toThrow('aborted');
  });
});
