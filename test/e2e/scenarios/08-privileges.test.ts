/** Capabilities, as the kernels of the nodes know them. */
import { beforeAll, expect, test } from 'vitest';

import { OPERATOR_PROCESS } from '../bed/installed-operator.ts';
import { ProcessOperator } from '../bed/operator.ts';
import { LOADER_PROCESS, processesOf } from '../guest.ts';
import type { RealNode } from '../real-node.ts';
import { useScenario } from '../scenario.ts';

const scenario = useScenario('privileges');

/** Capability 16. Source: linux/capability.h. */
const CAP_SYS_MODULE = '0000000000010000';
const NONE = '0000000000000000';

beforeAll(async () => {
  await scenario.apply(scenario.hello());
  await scenario.untilLoaded();
});

test('the loader has no capability but that of loading modules, on every node', async () => {
  for (const node of scenario.cluster.nodes) {
    const statuses = await statusesOf(node, LOADER_PROCESS);
    expect(statuses).not.toEqual([]);
    for (const status of statuses) {
      for (const set of ['CapEff', 'CapPrm', 'CapBnd']) expect(status).toContain(`${set}:\t${CAP_SYS_MODULE}\n`);
      expect(status).toContain('NoNewPrivs:\t1\n');
      // 2: a filter is in force.
      expect(status).toContain('Seccomp:\t2\n');
    }
  }
});

test('the operator has no capability and is not root', async ({ skip }) => {
  const { nodes, operator } = scenario.bedOr(skip);
  skip(operator instanceof ProcessOperator, 'the operator runs as a process');
  // Two replicas, and where both found room on one node the other has none.
  const statuses = (await Promise.all(nodes.map((node) => statusesOf(node, OPERATOR_PROCESS)))).flat();
  expect(statuses).toHaveLength(2);
  for (const status of statuses) {
    for (const set of ['CapEff', 'CapPrm', 'CapBnd']) expect(status).toContain(`${set}:\t${NONE}\n`);
    expect(status).toMatch(/^Uid:\t65532\t/m);
    expect(status).toContain('NoNewPrivs:\t1\n');
    expect(status).toContain('Seccomp:\t2\n');
  }
});

/** /proc/PID/status of each process that has this word in its command line. */
async function statusesOf(node: RealNode, word: string): Promise<readonly string[]> {
  const pids = await processesOf(node, word);
  return Promise.all(pids.map((pid) => node.output(`cat /proc/${pid}/status`)));
}
