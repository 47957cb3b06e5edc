import type { Taint, Toleration } from './core.ts';

/**
 * Whether a toleration tolerates a taint.
 * Source: k8s.io/component-helpers/scheduling/corev1 and core/v1 Toleration.ToleratesTaint: an empty effect matches every effect, an
 * empty key with operator Exists matches every taint, the default operator is Equal.
 */
export function toleratesTaint(toleration: Toleration, taint: Taint): boolean {
  if (toleration.effect !== undefined && toleration.effect !== '' && toleration.effect !== taint.effect) return false;
  if (toleration.key !== undefined && toleration.key !== '' && toleration.key !== taint.key) return false;
  switch (toleration.operator ?? 'Equal') {
    case 'Exists':
      return true;
    case '':
    case 'Equal':
      return (toleration.key ?? '') !== '' && (toleration.value ?? '') === (taint.value ?? '');
    default:
      return false;
  }
}
