/** `make demo REAL=1`: makes what a real node is made of, and tells the story in a network namespace, where such a node can be. */
import { spawn } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { Progress } from '../../hack/control-plane/progress.ts';
import { E2E_PACKAGES, ensureDebianPackages } from '../../hack/debian-packages.ts';
import type { Material } from '../e2e/bed/bed.ts';
import { compilingImages } from '../e2e/bed/building.ts';
import { nodeMaterial } from '../e2e/bed/material.ts';
import { environmentWithoutProxies, IN_NEW_NETWORK } from '../e2e/bed/namespace.ts';

const FILE = join('out', 'demo-real-node.json');

/** Gives the demo's exit code. A signal for this process goes on to the one that tells the story. */
export async function demoInNamespace(keep: boolean): Promise<number> {
  if (process.getuid?.() !== 0) {
    process.stderr.write('make demo REAL=1 needs root: it makes a network namespace and a disk with files of root.\n');
    return 1;
  }
  const interrupted = new AbortController();
  for (const signal of ['SIGHUP', 'SIGINT', 'SIGTERM'] as const) process.on(signal, () => interrupted.abort());
  const progress = new Progress();
  try {
    await ensureDebianPackages(progress, interrupted.signal, E2E_PACKAGES);
    const making = { progress, signal: interrupted.signal };
    const material = await nodeMaterial(false, 'debian', making);
    await mkdir('out', { recursive: true });
    const images = [...material.images, ...(await compilingImages(material.kernels, making))];
    await writeFile(FILE, JSON.stringify({ ...material, images }));
    progress.done();
  } catch (error) {
    progress.abandon();
    const said = error instanceof Error ? error.message : String(error);
    process.stderr.write(
      interrupted.signal.aborted ? 'Interrupted; the next run goes on where this one ended.\n' : `${said}\n`,
    );
    return 1;
  }
  return inNamespace([process.execPath, process.argv[1] ?? '', `--real-node=${FILE}`, ...(keep ? ['--keep'] : [])]);
}

export async function readMaterial(file: string): Promise<Material> {
  return JSON.parse(await readFile(file, 'utf8'));
}

function inNamespace(command: readonly string[]): Promise<number> {
  const [program, ...words] = [...IN_NEW_NETWORK, ...command];
  return new Promise((resolve, reject) => {
    const child = spawn(program, words, { stdio: 'inherit', env: environmentWithoutProxies() });
    for (const signal of ['SIGHUP', 'SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal));
    child.once('error', (cause) => reject(new Error(`cannot run unshare: ${cause.message}`, { cause })));
    child.once('close', (code) => resolve(code ?? 1));
  });
}
