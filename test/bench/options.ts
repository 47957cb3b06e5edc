/** `node test/bench/bench.ts [--builds | [--large] [--nodes N ...] [--node-option FLAG ...]]` */
import { parseArgs } from 'node:util';

import { IMAGE_NODE_OPTIONS } from '../harness/operator.ts';

export interface BenchOptions {
  /** One run for each; none where only builds are measured. */
  readonly nodes: readonly number[];
  /** Arguments of Node itself for the operator. */
  readonly nodeOptions: readonly string[];
  /** Whether builds are measured. */
  readonly builds: boolean;
}

/** @throws Error in one sentence */
export function readOptions(argv: readonly string[]): BenchOptions {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      builds: { type: 'boolean', default: false },
      large: { type: 'boolean', default: false },
      nodes: { type: 'string', multiple: true, default: [] },
      'node-option': { type: 'string', multiple: true },
    },
  });
  const chosen = values.nodes.map(numberOfNodes);
  const usual = [100, 1_000, ...(values.large ? [5_000] : [])];
  return {
    nodes: chosen.length > 0 ? chosen : values.builds ? [] : usual,
    nodeOptions: values['node-option'] ?? IMAGE_NODE_OPTIONS,
    builds: values.builds || chosen.length === 0,
  };
}

/** At least as many as have their kernel changed. */
function numberOfNodes(text: string): number {
  const nodes = Number(text);
  if (Number.isInteger(nodes) && nodes >= 20 && nodes <= 20_000) return nodes;
  throw new Error(`--nodes ${text}: give a whole number from 20 to 20000`);
}
