/** Capabilities, as the kernels of the nodes know them. */
import { beforeAll, expect, test } from 'vitest';

import { OPERATOR_PROCESS } from '../bed/installed-operator.ts';
import { ProcessOperator } from '../bed/operator.ts';
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
    const status = await statusOf(node, '[/]usr/local/bin/load.sh');
    for (const set of ['CapEff', 'CapPrm', 'CapBnd']) expect(status).toContain(`${set}:\t${CAP_SYS_MODULE}\n`);
    expect(status).toContain('NoNewPrivs:\t1\n');
    // 2: a filter is in force.
    expect(status).toContain('Seccomp:\t2\n');
  }
});

test('the operator has no capability and is not root', async ({ skip }) => {
  const { nodes, operator } = scenario.bedOr(skip);
  skip(operator instanceof ProcessOperator, 'the operator runs as a process');
  const statuses: string[] = [];
  // Two replicas, and where both found room on one node the other has none.
  for (const node of nodes) {
    const { output } = await node.exec(`pgrep -f '${OPERATOR_PROCESS}'`);
    for (const pid of output.split('\n').filter(Boolean)) statuses.push(await node.output(`cat /proc/${pid}/status`));
  }
  expect(statuses).toHaveLength(2);
  for (const status of statuses) {
    for (const set of ['CapEff', 'CapPrm', 'CapBnd']) expect(status).toContain(`${set}:\t${NONE}\n`);
    expect(status).toMatch(/^Uid:\t65532\t/m);
    expect(status).toContain('NoNewPrivs:\t1\n');
    expect(status).toContain('Seccomp:\t2\n');
  }
});

/** /proc/PID/status of the oldest process whose command line has this. */
function statusOf(node: RealNode, pattern: string): Promise<string> {
  return node.output(`cat "/proc/$(pgrep -o -f '${pattern}')/status"`);
}
