import type { ModuleStatus } from '../../api/module.ts';

/** Whether, and how soon, a status has to be written. */
export type StatusWrite = 'none' | 'counts' | 'now';

/**
 * `none` where nothing changed; `counts` where only numbers moved, which may wait for more of them (a thousand nodes becoming ready would
 * be a thousand writes); `now` where a state, a reason or a condition changed.
 */
export function statusWrite(before: ModuleStatus | undefined, next: ModuleStatus): StatusWrite {
  if (same(before, next)) return 'none';
  return same(outline(before), outline(next)) ? 'counts' : 'now';
}

/** The status without numbers and messages. */
function outline(status: ModuleStatus | undefined): unknown {
  return {
    observedGeneration: status?.observedGeneration,
    conditions: status?.conditions?.map(({ type, status, reason }) => [type, status, reason]),
    kernels: status?.kernels?.map(({ kernelVersion, architecture, image, state, build }) => [
      kernelVersion,
      architecture,
      image,
      state,
      [build?.key, build?.phase, build?.attempts],
    ]),
  };
}

function same(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (a === null || b === null || typeof a !== 'object' || typeof b !== 'object') return false;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const entriesA = Object.entries(a).filter(([, value]) => value !== undefined);
  const fieldsB = new Map(Object.entries(b).filter(([, value]) => value !== undefined));
  return (
    entriesA.length === fieldsB.size &&
    entriesA.every(([key, value]) => fieldsB.has(key) && same(value, fieldsB.get(key)))
  );
}
