import type { Cluster } from '../../harness/cluster.ts';

export interface Answer {
  readonly code: number;
  readonly stderr: string;
}

/** What kubectl says of a Module that is only tried: `--dry-run=server` goes through all of admission. */
export async function tryModule(
  { controlPlane }: Cluster,
  namespace: string,
  module: object,
  ...flags: readonly string[]
): Promise<Answer> {
  const { code, stderr } = await controlPlane.tryKubectl(
    ['create', '--dry-run=server', ...flags, '-n', namespace, '-f', '-'],
    { input: JSON.stringify(module) },
  );
  return { code, stderr: stderr.trim() };
}
