/** Processes of a cluster are found by the folder their program lies in: pids are reused, folders of ours are not. */
import { spawn } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';

import { eventually } from './eventually.ts';

/** Pids of the running processes whose argv[0] lies under `directory`; zombies have no argv and do not count. */
export async function processesUnder(directory: string): Promise<readonly number[]> {
  const pids = (await readdir('/proc')).filter((entry) => /^\d+$/.test(entry));
  const found = await Promise.all(
    pids.map(async (pid) =>
      (await commandLine(Number(pid)))[0]?.startsWith(`${directory}/`) ? Number(pid) : undefined,
    ),
  );
  return found.filter((pid) => pid !== undefined);
}

/** argv of a process; empty when it is gone or a zombie. */
export async function commandLine(pid: number): Promise<readonly string[]> {
  try {
    const text = await readFile(`/proc/${pid}/cmdline`, 'utf8');
    return text === '' ? [] : text.replace(/\0$/, '').split('\0');
  } catch {
    return [];
  }
}

/** Kills everything that runs from `directory` and returns when nothing does. */
export async function killUnder(directory: string): Promise<void> {
  await eventually(
    async () => {
      const pids = await processesUnder(directory);
      for (const pid of pids) signalProcess(pid, 'SIGKILL');
      if (pids.length > 0) throw new Error(`pids ${pids.join(', ')} still run`);
    },
    { what: `the end of every process under ${directory}`, timeoutMs: 20_000 },
  );
}

/** Sends a signal; a process that is gone already is no error. */
export function signalProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}

const WATCHDOG = `
read -r word || word=gone
[ "$word" = release ] && exit 0
while pids=$(grep -alE "^$WATCHED/" /proc/[0-9]*/cmdline 2>/dev/null | cut -d/ -f3); [ -n "$pids" ]; do
  kill -9 $pids 2>/dev/null
done
rm -rf "$WATCHED"
`;

/**
 * Starts a process that outlives this one by a moment: however this process ends, SIGKILL included, the pipe between
 * the two closes, and the watchdog kills what runs from `directory` and removes it.
 *
 * @returns a function that dismisses the watchdog and leaves everything as it is.
 */
export function guardDirectory(directory: string): () => void {
  // The folder goes by the environment: as an argument it would be in the watchdog's own command line.
  const watchdog = spawn('/bin/sh', ['-c', WATCHDOG], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
    env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin', WATCHED: directory },
  });
  watchdog.unref();
  const { stdin } = watchdog;
  if ('unref' in stdin && typeof stdin.unref === 'function') stdin.unref();
  stdin.on('error', () => undefined);
  return () => stdin.end('release\n');
}
