import { mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

import { type BuildFiles, buildFiles } from '../../src/build/pipeline/files.ts';
import type { BuildRequest } from '../../src/build/pipeline/request.ts';
import type { StepContext } from '../../src/build/pipeline/step.ts';
import { scanFolder, scanText } from './secret-scan.ts';

/** A context of one build in a temporary folder. */
export interface BuildContext extends StepContext, AsyncDisposable {
  /** Every line of the build's log. */
  readonly log: readonly string[];
  /** Removes the folder. */
  [Symbol.asyncDispose](): Promise<void>;
}

export interface BuildContextOptions {
  readonly request?: Partial<BuildRequest>;
  /** Files of the pod by their path below the files' root, as `git-secret/username`; their texts are the secrets that redact takes away. */
  readonly files?: Readonly<Record<string, string | Buffer>>;
  readonly signal?: AbortSignal;
}

function aBuildRequest(changes: Partial<BuildRequest> = {}): BuildRequest {
  return {
    image: 'registry.example/team/hello:1.0',
    shared: false,
    kernel: '6.1.0-56-cloud-amd64',
    arch: 'amd64',
    module: { name: 'hello', namespace: 'default' },
    source: { kind: 'inline', dockerfile: 'FROM scratch\n' },
    buildArgs: {},
    secrets: [],
    pull: { insecure: false, insecureSkipTLSVerify: false },
    push: { insecure: false, insecureSkipTLSVerify: false },
    cache: true,
    ...changes,
  };
}

/** A step's context with its own work folder, the given files of the pod, and this machine's tools. */
export async function aBuildContext(options: BuildContextOptions = {}): Promise<BuildContext> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'kmm-build-')));
  const files: BuildFiles = buildFiles(join(folder, 'files'));
  const work = join(folder, 'work');
  await mkdir(work, { recursive: true });
  const secrets: string[] = [];
  for (const [name, content] of Object.entries(options.files ?? {})) {
    const path = join(folder, 'files', name);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, content);
    const text = content.toString().trim();
    if (text !== '') secrets.push(text);
  }
  const redact = (text: string) => secrets.reduce((left, secret) => left.replaceAll(secret, '***'), text);
  const log: string[] = [];
  return {
    request: aBuildRequest(options.request),
    files,
    work,
    env: { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', HOME: work },
    redact,
    say: (line) => log.push(redact(line)),
    signal: options.signal ?? new AbortController().signal,
    log,
    async [Symbol.asyncDispose]() {
      scanText('build logs', `the log of ${folder}`, log.join('\n'));
      // The pipeline, of which this is a part, removes the folder `private`.
      await scanFolder('work folders', work, ['private']);
      await rm(folder, { recursive: true, force: true });
    },
  };
}
