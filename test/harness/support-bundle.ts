import { createReadStream } from 'node:fs';
import { text } from 'node:stream/consumers';
import { createGunzip } from 'node:zlib';
import { extract } from 'tar-stream';
import type { ControlPlane } from './control-plane.ts';
import { PROGRAM } from './program.ts';
import { type RunResult, run } from './run.ts';

/** `kmm support-bundle`, as an administrator runs it. */
export function supportBundle({ kubeconfig }: ControlPlane, flags: readonly string[]): Promise<RunResult> {
  return run(process.execPath, [PROGRAM, 'support-bundle', `--kubeconfig=${kubeconfig}`, ...flags]);
}

/** Texts by path, without the bundle's own folder. */
export async function unpack(archive: string): Promise<ReadonlyMap<string, string>> {
  const files = new Map<string, string>();
  const entries = createReadStream(archive).pipe(createGunzip()).pipe(extract());
  for await (const entry of entries) {
    files.set(entry.header.name.replace(/^kmm-support-[^/]+\//, ''), await text(entry));
  }
  return files;
}
