/** vitest's globalSetup: the cluster that all scenarios of a run share. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';

import { Progress } from '../../hack/control-plane/progress.ts';
import { type Bed, layOutBed, type Material } from './bed/bed.ts';
import { diagnose } from './diagnostics.ts';
import { type ForeignPlace, openForeignCluster } from './foreign/cluster.ts';
import type { ForeignMaterial } from './foreign/material.ts';

/** A bed, by its folder, or a cluster that somebody else runs. */
type Place = { readonly bed: string } | { readonly foreign: ForeignPlace };

declare module 'vitest' {
  interface ProvidedContext {
    place: Place;
  }
}

/** What the run is made from, as e2e.ts writes it. */
export type RunMaterial = { readonly bed: Material } | { readonly foreign: ForeignMaterial };

export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const { KMM_E2E_MATERIAL: file, KMM_E2E_BED: standing } = process.env;
  if (standing !== undefined) {
    project.provide('place', { bed: standing });
    return () => Promise.resolve();
  }
  if (file === undefined) throw new Error('scenarios want their material: start them with `make e2e`');
  const material: RunMaterial = JSON.parse(await readFile(file, 'utf8'));
  const progress = new Progress();
  const interrupted = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => interrupted.abort());
  if ('foreign' in material) {
    const { place, close } = await openForeignCluster(material.foreign, progress, interrupted.signal);
    project.provide('place', { foreign: place });
    return close;
  }
  const bed = await layOutBed(material.bed, progress, interrupted.signal);
  const { operator } = bed;
  await step(bed, progress, 'Filling the registry and booting two nodes (about half a minute)', () =>
    bed.boot(interrupted.signal),
  );
  await step(bed, progress, `Starting the operator, ${operator.manner}`, async () => {
    await operator.install();
    await operator.start();
  });
  project.provide('place', { bed: bed.controlPlane.directory });
  return () => end(bed);
}

/** Where it fails, what a person would look at is printed, and the bed ends. */
async function step(bed: Bed, progress: Progress, what: string, act: () => Promise<void>): Promise<void> {
  progress.start(what);
  try {
    await act();
    progress.done();
  } catch (error) {
    progress.abandon();
    progress.say(await diagnose(bed, join('out', 'e2e', 'start')));
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
