import type { PolicyRule } from '../../kube/rbac.ts';

export const RULES: readonly PolicyRule[] = [
  {
    apiGroups: [''],
    resources: ['nodes'],
    verbs: ['list', 'watch'],
    why: 'Reads kernels, boots, taints and labels, which decide where a module is loaded.',
  },
  {
    apiGroups: [''],
    resources: ['nodes'],
    verbs: ['patch'],
    why: 'Sets and removes its own labels and annotations, and nothing else of a Node.',
  },
];
