/** What the kernel says a process has used. Source: man 5 proc_pid_status, proc_pid_stat. */
import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';

export interface Usage {
  /** Resident memory now and at its highest, in units of 1,048,576 bytes. */
  readonly rssMB: number;
  readonly rssPeakMB: number;
  /** User and system time of all its threads. */
  readonly cpuSeconds: number;
}

/** USER_HZ is 100 on every architecture that Node runs on. */
const TICKS_PER_SECOND = 100;

export async function usageOf(pid: number): Promise<Usage> {
  const [status, stat] = await Promise.all([
    readFile(`/proc/${pid}/status`, 'utf8'),
    readFile(`/proc/${pid}/stat`, 'utf8'),
  ]);
  // The program's name, in brackets, may hold spaces: fields are counted from behind it. The first there is field 3.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const ticks = Number(fields[11]) + Number(fields[12]);
  return {
    rssMB: megabytes(status, 'VmRSS'),
    rssPeakMB: megabytes(status, 'VmHWM'),
    cpuSeconds: ticks / TICKS_PER_SECOND,
  };
}

function megabytes(status: string, field: string): number {
  const kilobytes = new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1];
  if (kilobytes === undefined) throw new Error(`there is no ${field} in the status of the process`);
  return Number(kilobytes) / 1024;
}

const SAMPLE_MS = 1_000;
const STILL_SAMPLES = 6;
const STILL_MB = 2;
const MOST_SAMPLES = 45;

/** Its usage once its memory has kept within 2 MB for six seconds, or after 45 seconds if it never does. */
export async function settledUsage(pid: number, signal: AbortSignal): Promise<Usage> {
  const samples: number[] = [];
  for (;;) {
    const usage = await usageOf(pid);
    samples.push(usage.rssMB);
    const recent = samples.slice(-STILL_SAMPLES);
    const still = recent.length === STILL_SAMPLES && Math.max(...recent) - Math.min(...recent) <= STILL_MB;
    if (still || samples.length >= MOST_SAMPLES) return usage;
    await delay(SAMPLE_MS, undefined, { signal });
  }
}
