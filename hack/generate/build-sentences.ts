/** What a build says when it is the Dockerfile or the image that fails: examples, given by the code that says it. */
import { buildProblem } from '../../src/build/pipeline/build-errors.ts';
import type { KernelModule } from '../../src/build/pipeline/kernel-module.ts';
import { problemOfImage, problemOfSignatures } from '../../src/build/pipeline/verify-plan.ts';

interface Example {
  readonly step: 'build' | 'verify';
  readonly blame: 'user' | 'infrastructure';
  readonly sentence: string;
}

const KERNEL = '6.1.0-18-amd64';
const PLACE = { registry: 'REGISTRY', hasCredentials: () => false, isMasked: true };

/** The last line of buildah 1.28. */
const BUILDAH = [
  'Error: building at STEP "RUN make": while running runtime: exit status 2',
  'Error: building at STEP "RUN make": while running runtime: exit status 137',
  'E: Failed to fetch http://HOST/: Temporary failure resolving',
  'Error: building at STEP "COPY src /src": checking on sources under "/": copier: stat: "/src": no such file or directory',
  'Error: dockerfile parse error line 2: Unknown instruction: "BOGUS"',
  'Error: creating build container: initializing source docker://REGISTRY/base:1: reading manifest 1 in REGISTRY/base: manifest unknown',
  'Error: committing container: write /blob: no space left on device',
] as const;

export function buildSentences(): readonly Example[] {
  const build = BUILDAH.map((line): Example => {
    const lines = line.startsWith('E: ') ? [line, BUILDAH[0].replace('RUN make', 'RUN apt-get update')] : [line];
    return { step: 'build', ...buildProblem(lines, PLACE) };
  });
  const verify = (files: readonly KernelModule[]): Example => ({
    step: 'verify',
    blame: 'user',
    sentence: problemOfImage(files, { kernel: KERNEL, arch: 'amd64' }) ?? '',
  });
  const path = `/opt/lib/modules/${KERNEL}/hello.ko`;
  return [
    ...build,
    verify([]),
    verify([aModule({ path, kernel: '6.1.0-17-amd64' })]),
    verify([aModule({ path, arch: 'arm64' })]),
    verify([aModule({ path: path.slice('/opt'.length) })]),
    {
      step: 'verify',
      blame: 'infrastructure',
      sentence: problemOfSignatures([aModule({ path })], { serial: '0AB', commonName: 'Acme' }) ?? '',
    },
  ];
}

function aModule(fields: Partial<KernelModule> & Pick<KernelModule, 'path'>): KernelModule {
  return { kind: 'module', kernel: KERNEL, vermagic: KERNEL, arch: 'amd64', signed: false, ...fields };
}
