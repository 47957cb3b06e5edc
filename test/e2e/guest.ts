/** What a node's own kernel says of the module. */
import type { RealNode } from './real-node.ts';

const MODULE = 'kmm_hello';
/** A word of the command line of the loader's script. */
export const LOADER_PROCESS = '/usr/local/bin/load.sh';

/** The release of the kernel that runs, as the kernel says. */
export async function kernelRelease(node: RealNode): Promise<string> {
  return (await node.output('uname -r')).trim();
}

/** PIDs of the processes that have this as one word of their command line, the lowest first. Debian's busybox has no pgrep. */
export async function processesOf(node: RealNode, word: string): Promise<readonly number[]> {
  // As a pattern that does not match itself: grep's own command line has it.
  const { output } = await node.exec(`grep -lszx -e '[${word.slice(0, 1)}]${word.slice(1)}' /proc/[0-9]*/cmdline`);
  return [...output.matchAll(/^\/proc\/(\d+)\/cmdline$/gm)].map(([, pid]) => Number(pid)).sort((a, b) => a - b);
}

/** Whether /proc/modules has it. */
export async function isLoaded(node: RealNode): Promise<boolean> {
  return (await node.output('cat /proc/modules')).split('\n').some((line) => line.startsWith(`${MODULE} `));
}

/**
 * Every load and unload of the module since its tracing was turned on, in order, as the kernel noted it.
 * Source: the trace events module:module_load and module:module_free.
 */
export async function moduleEvents(node: RealNode): Promise<readonly ModuleEvent[]> {
  return parseModuleEvents(await node.output(`cat ${node.tracing}/trace`), MODULE);
}

export type ModuleEvent = 'load' | 'free';

/** @param trace text of a `trace` file */
export function parseModuleEvents(trace: string, module: string): readonly ModuleEvent[] {
  return [...trace.matchAll(/ module_(load|free): (\S+)/g)].flatMap(([, event, name]) => {
    if (name !== module) return [];
    return event === 'load' ? (['load'] as const) : (['free'] as const);
  });
}

/** What the module itself wrote to the kernel's log in this boot, as it came and went. */
export async function kernelLines(node: RealNode): Promise<readonly string[]> {
  // The kernel has lines of its own about it: that it taints, that its signature is not verified.
  return (await node.output('dmesg')).split('\n').filter((line) => /kmm_hello: (loaded, |unloaded)/.test(line));
}
