import type { Material } from '../../e2e/bed/bed.ts';
import { build } from './build.ts';
import { deletion } from './deletion.ts';
import { farewell } from './farewell.ts';
import { install } from './install.ts';
import { load } from './load.ts';
import { simulatedNodes } from './nodes.ts';
import { outage } from './outage.ts';
import { real } from './real.ts';
import { reboot } from './reboot.ts';
import { refusal } from './refusal.ts';
import { rollout } from './rollout.ts';
import type { Step } from './step.ts';

/** What is told in any case; with what a real node is made of, its story too. */
export function storyWith(realNode: Material | undefined): readonly Step[] {
  return [
    simulatedNodes,
    install,
    load,
    reboot,
    rollout,
    outage,
    refusal,
    build,
    ...(realNode === undefined ? [] : [real(realNode)]),
  ];
}

/** How it ends, unless the cluster is kept. */
export const ENDING: readonly Step[] = [deletion, farewell];
