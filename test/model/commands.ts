/** Everything that can happen in the model's world, and how often a random history has it happen. */
import fc from 'fast-check';

import { MINUTE } from '../harness/plan-world.ts';
import { BROKEN_IMAGE } from './kubelet.ts';
import { CACHE_KINDS, type CacheKind } from './operator.ts';
import { KERNELS, type Kernel, NODES, type NodeName, type Wish } from './wish.ts';

export type Command =
  /** Everybody acts once, so many times. */
  | { readonly op: 'rounds'; readonly count: number }
  // The operator: caches that learn of one kind at a time, in another order; plans and writes apart; its end between any two writes.
  | { readonly op: 'sync'; readonly kind: CacheKind }
  | { readonly op: 'reconcile' | 'plan' | 'restart' | 'shuffle' }
  | { readonly op: 'node-reconcile'; readonly node: NodeName }
  | { readonly op: 'crash'; readonly writes: number }
  // The cluster's controllers and kubelets.
  | { readonly op: 'daemonsets' | 'collect' | 'node-controller' }
  | { readonly op: 'kubelet' | 'kubelet-node'; readonly node: NodeName }
  | { readonly op: 'slow' | 'refuse-pods'; readonly on: boolean }
  // Nodes.
  | { readonly op: 'off' | 'not-ready' | 'delete-node' | 'register' | 'crash-loader'; readonly node: NodeName }
  | { readonly op: 'on'; readonly node: NodeName; readonly kernel: Kernel | undefined }
  | { readonly op: 'reboot'; readonly node: NodeName; readonly kernel: Kernel; readonly podsFirst: boolean }
  | { readonly op: 'cordon' | 'taint'; readonly node: NodeName; readonly present: boolean }
  | { readonly op: 'label'; readonly node: NodeName; readonly value: string | undefined }
  // People, and time.
  | { readonly op: 'edit'; readonly wish: Partial<Wish> }
  | { readonly op: 'map'; readonly kernel: Kernel; readonly image: string | undefined }
  | { readonly op: 'delete-module' }
  | { readonly op: 'time'; readonly ms: number };

const node = fc.constantFrom(...NODES);
const kernel = fc.constantFrom(...KERNELS);
const op = <const Op extends string>(name: Op) => fc.constant({ op: name });
const onNode = <const Op extends string>(name: Op) => fc.record({ op: fc.constant(name), node });
const always = <const Value>(value: Value) => fc.constant(value);

const WEIGHTED: readonly (readonly [weight: number, arbitrary: fc.Arbitrary<Command>])[] = [
  [8, fc.record({ op: always('rounds'), count: fc.integer({ min: 1, max: 4 }) })],
  [4, op('reconcile')],
  [3, op('plan')],
  [4, op('daemonsets')],
  [4, onNode('node-reconcile')],
  [4, onNode('kubelet')],
  [2, onNode('kubelet-node')],
  [3, fc.record({ op: always('sync'), kind: fc.constantFrom(...CACHE_KINDS) })],
  [2, fc.record({ op: always('crash'), writes: fc.nat(4) })],
  [1, op('restart')],
  [1, op('collect')],
  [1, op('shuffle')],
  [1, op('node-controller')],
  [2, onNode('off')],
  [2, fc.record({ op: always('on'), node, kernel: fc.option(kernel, { nil: undefined }) })],
  [3, fc.record({ op: always('reboot'), node, kernel, podsFirst: fc.boolean() })],
  [1, onNode('not-ready')],
  [1, onNode('delete-node')],
  [1, onNode('register')],
  [2, onNode('crash-loader')],
  [1, fc.record({ op: always('cordon'), node, present: fc.boolean() })],
  [1, fc.record({ op: always('taint'), node, present: fc.boolean() })],
  [3, fc.record({ op: always('label'), node, value: fc.constantFrom('a', 'b', undefined) })],
  [1, fc.record({ op: always('slow'), on: fc.boolean() })],
  [1, fc.record({ op: always('refuse-pods'), on: fc.boolean() })],
  [
    3,
    fc.record({
      op: always('edit'),
      wish: fc.oneof(
        fc.record({ driver: fc.constantFrom('a', 'b', undefined) }),
        fc.record({ argument: fc.constantFrom('1', '2', '3') }),
        fc.record({ plugin: fc.boolean() }),
        fc.record({ maxUnavailable: fc.constantFrom(1, 2, 3) }),
      ),
    }),
  ],
  [
    3,
    fc.record({
      op: always('map'),
      kernel,
      image: fc.constantFrom('registry.test/m:1', 'registry.test/m:2', `registry.test/${BROKEN_IMAGE}:1`, undefined),
    }),
  ],
  [3, fc.record({ op: always('time'), ms: fc.constantFrom(1_000, 11_000, 5 * MINUTE) })],
  [1, op('delete-module')],
];

/** Up to 60 commands; fast-check shrinks a failing list to the shortest one that still fails. */
export const history: fc.Arbitrary<Command[]> = fc.array(
  fc.oneof(...WEIGHTED.map(([weight, arbitrary]) => ({ weight, arbitrary }))),
  { maxLength: 60, size: 'max' },
);
