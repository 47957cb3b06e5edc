/** What a node's own kernel says of the module. */
import type { RealNode } from './real-node.ts';

const MODULE = 'kmm_hello';

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
