/** vitest's globalSetup: the bed that all scenarios of a run share. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';

import { Progress } from '../../../hack/control-plane/progress.ts';
import { type Bed, type Material, startBed } from './bed.ts';
import { diagnose } from './diagnostics.ts';

declare module 'vitest' {
  interface ProvidedContext {
    bedDirectory: string;
  }
}

export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const { KMM_E2E_MATERIAL: file, KMM_E2E_BED: standing } = process.env;
  if (standing !== undefined) {
    project.provide('bedDirectory', standing);
    return () => Promise.resolve();
  }
  if (file === undefined) throw new Error('the bed wants its material: start it with `make e2e`');
  const material: Material = JSON.parse(await readFile(file, 'utf8'));
  const progress = new Progress();
  const interrupted = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => interrupted.abort());
  const bed = await startBed(material, progress, interrupted.signal);
  await startOperatorOf(bed, progress);
  project.provide('bedDirectory', bed.controlPlane.directory);
  return () => end(bed);
}

async function startOperatorOf(bed: Bed, progress: Progress): Promise<void> {
  const { operator } = bed;
  progress.start(`Starting the operator, ${operator.manner}`);
  try {
    await operator.install();
    await operator.start();
    progress.done();
  } catch (error) {
    progress.abandon();
    progress.say(await diagnose(bed, join('out', 'e2e', 'operator-start')));
    await end(bed);
    throw error;
  }
}

async function end(bed: Bed): Promise<void> {
  await bed.admin.close();
  if ((process.env['KEEP'] ?? '') === '') return bed.controlPlane.stop();
  bed.controlPlane.keep();
  process.stderr.write(howToGetIn(bed));
}

function howToGetIn(bed: Bed): string {
  const { directory, kubeconfig } = bed.controlPlane;
  const [node] = bed.nodes;
  return `
The bed stays up, in ${directory}. All of it is in a network namespace of its own; a shell in there:

  nsenter --net=/proc/$(cat ${directory}/nodes/vm1/pid)/ns/net env KUBECONFIG=${kubeconfig} PATH=${directory}/bin:$PATH bash

In it kubectl works as ever, and a command on a node is

  node test/e2e/bed/in-guest.ts ${directory} ${node?.name ?? ''} 'cat /proc/modules'

What nodes say while they boot is in ${directory}/nodes/*/console.log. To run scenarios on it, and to end it:

  make e2e BED=${directory} ONLY=prebuilt
  node test/e2e/e2e.ts --end ${directory}
`;
}
