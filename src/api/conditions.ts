import { shorten } from '../kernel/shorten.ts';
import { type Condition, metaTime } from '../kube/objects.ts';

/** A condition as a decision yields it; when it last flipped is known from the one before. */
export interface ConditionInput {
  readonly type: string;
  readonly status: Condition['status'];
  readonly reason: string;
  readonly message: string;
  readonly observedGeneration?: number;
}

/** Longest message the CRD's schema stores. Source: k8s.io/apimachinery metav1.Condition. */
export const LONGEST_CONDITION_MESSAGE = 32_768;

/**
 * Gives `conditions` with `next` in the place of the one of its type, or at the end.
 *
 * `lastTransitionTime` moves only when `status` flips, so that "how long has it been so" stays true through new messages. A condition
 * that did not change gives back the very same array: a caller sees by identity that there is nothing to write.
 *
 * @param nowMs milliseconds since the epoch
 */
export function setCondition(
  conditions: readonly Condition[],
  next: ConditionInput,
  nowMs: number,
): readonly Condition[] {
  const at = conditions.findIndex(({ type }) => type === next.type);
  const before = conditions[at];
  const condition: Condition = {
    type: next.type,
    status: next.status,
    ...(next.observedGeneration === undefined ? {} : { observedGeneration: next.observedGeneration }),
    lastTransitionTime:
      before !== undefined && before.status === next.status ? before.lastTransitionTime : metaTime(nowMs),
    reason: next.reason,
    message: shorten(next.message, LONGEST_CONDITION_MESSAGE),
  };
  if (before === undefined) return [...conditions, condition];
  if (sameCondition(before, condition)) return conditions;
  return conditions.with(at, condition);
}

/** The condition of that type, if there is one. */
export function findCondition(conditions: readonly Condition[] | undefined, type: string): Condition | undefined {
  return conditions?.find((condition) => condition.type === type);
}

function sameCondition(a: Condition, b: Condition): boolean {
  return (
    a.status === b.status &&
    a.reason === b.reason &&
    a.message === b.message &&
    a.observedGeneration === b.observedGeneration &&
    a.lastTransitionTime === b.lastTransitionTime
  );
}
