import { expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import type { OperatedCluster } from '../harness/operated-cluster.ts';

/** Two looks at the audit log, so far apart, without a write between them. Times in milliseconds. */
export async function untilQuiet(
  kmm: OperatedCluster,
  { apartMs = 5_000, timeoutMs = 900_000 }: { readonly apartMs?: number; readonly timeoutMs?: number } = {},
): Promise<void> {
  let before = -1;
  await eventually(
    async () => {
      const { length } = await kmm.operatorWrites(0);
      const last = before;
      before = length;
      expect(length).toBe(last);
    },
    { what: `${apartMs / 1_000} s without a write`, timeoutMs, intervalMs: apartMs },
  );
}
