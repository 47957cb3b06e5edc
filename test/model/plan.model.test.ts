/**
 * The plans against a simulated cluster in which anything may happen in any order. What must hold is judged by a memory that is kept
 * here, not by the code under test.
 */
import fc from 'fast-check';
import { it } from 'vitest';

import { MINUTE } from '../harness/plan-world.ts';
import { type Command, history } from './commands.ts';
import { play } from './play.ts';

const rounds = (count: number): Command => ({ op: 'rounds', count });

it.each<[string, readonly Command[]]>([
  [
    'a kubelet that tells of its pods before it tells of its boot does not leave the node unready for ever',
    [rounds(3), { op: 'off', node: 'n3' }, { op: 'on', node: 'n3', kernel: undefined }, rounds(3)],
  ],
  [
    'a Node that is registered again under its name after a reboot is not ready by the container of the boot before',
    [
      rounds(4),
      { op: 'off', node: 'n4' },
      { op: 'on', node: 'n4', kernel: undefined },
      { op: 'delete-node', node: 'n4' },
      { op: 'register', node: 'n4' },
      { op: 'sync', kind: 'nodes' },
      { op: 'reconcile' },
      { op: 'sync', kind: 'nodes' },
      { op: 'reconcile' },
    ],
  ],
  [
    'a node whose grace ends while it is being replaced is no longer being replaced',
    [
      rounds(1),
      { op: 'slow', on: true },
      { op: 'edit', wish: { argument: '2' } },
      rounds(1),
      { op: 'label', node: 'n3', value: 'b' },
      rounds(3),
      { op: 'time', ms: 1_000 },
    ],
  ],
  [
    'a budget that is lowered while two nodes are being replaced lets those two finish, and begins with no other',
    [
      rounds(4),
      { op: 'slow', on: true },
      { op: 'edit', wish: { maxUnavailable: 2 } },
      { op: 'edit', wish: { argument: '2' } },
      rounds(2),
      { op: 'edit', wish: { maxUnavailable: 1 } },
      rounds(4),
    ],
  ],
  [
    'a label that was to go because its kernel is no longer mapped goes when the Module is deleted before the write',
    [
      rounds(1),
      { op: 'time', ms: 1_000 },
      { op: 'map', kernel: '5.4.0', image: undefined },
      rounds(1),
      { op: 'delete-module' },
      { op: 'plan' },
      { op: 'sync', kind: 'module' },
      { op: 'node-reconcile', node: 'n1' },
    ],
  ],
  [
    'a label that comes back as its grace ends comes too late for an operator that has not heard of it',
    [
      { op: 'refuse-pods', on: true },
      rounds(1),
      { op: 'label', node: 'n3', value: undefined },
      { op: 'time', ms: 5 * MINUTE },
      { op: 'time', ms: 5 * MINUTE },
      { op: 'label', node: 'n3', value: 'a' },
      { op: 'reconcile' },
    ],
  ],
  [
    'a selector that is widened as a grace ends comes too late for an operator that has not heard of it',
    [
      { op: 'label', node: 'n1', value: 'b' },
      { op: 'reconcile' },
      { op: 'time', ms: 5 * MINUTE },
      { op: 'time', ms: 5 * MINUTE },
      { op: 'edit', wish: { driver: undefined } },
      { op: 'reconcile' },
    ],
  ],
  [
    'pods that the operator hears of only when it has planned the end of a deletion do not hold up the labels',
    [
      { op: 'reconcile' },
      { op: 'delete-module' },
      { op: 'sync', kind: 'module' },
      { op: 'sync', kind: 'nodes' },
      { op: 'sync', kind: 'daemonSets' },
      { op: 'daemonsets' },
      { op: 'plan' },
      { op: 'plan' },
      { op: 'plan' },
      { op: 'sync', kind: 'pods' },
      { op: 'node-reconcile', node: 'n2' },
    ],
  ],
])('regression: %s', (_story, commands) => {
  play(commands);
});

/** `make test` plays the same histories each time. To hunt with others: MODEL_RUNS=100000 MODEL_SEED=$RANDOM. */
const RUNS = Number(process.env['MODEL_RUNS'] ?? 10_000);
const SEED = Number(process.env['MODEL_SEED'] ?? 1);

it(
  'whatever happens, in whatever order: nothing is unloaded without a reason, and all comes to what is wished',
  () => {
    console.log(`${RUNS} histories, MODEL_SEED=${SEED}`);
    fc.assert(fc.property(history, play), { numRuns: RUNS, seed: SEED });
  },
  Math.max(600_000, RUNS * 60),
);
