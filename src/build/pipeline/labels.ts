import type { ModuleFile } from './report.ts';

const PREFIX = 'kmm.sigs.x-k8s.io';

export const LABELS = {
  buildKey: `${PREFIX}/build-key`,
  kernel: `${PREFIX}/kernel`,
  arch: `${PREFIX}/arch`,
  commit: `${PREFIX}/commit`,
  files: `${PREFIX}/module-files`,
} as const;

/** An image's configuration is read whole by whoever pulls it. */
const MOST_FILES = 200;

export interface LabelledBuild {
  readonly buildKey: string;
  readonly commit?: string;
  readonly kernel: string;
  readonly arch: string;
  readonly files: readonly ModuleFile[];
}

/** What an image tells of its making. Only a finished one has them, so the layers that are kept for the next build look like nobody's. */
export function labelsOf(build: LabelledBuild): ReadonlyMap<string, string> {
  const { buildKey, commit, kernel, arch, files } = build;
  return new Map([
    [LABELS.buildKey, buildKey],
    [LABELS.kernel, kernel],
    [LABELS.arch, arch],
    [LABELS.files, JSON.stringify(files.slice(0, MOST_FILES))],
    ...(commit === undefined ? [] : [[LABELS.commit, commit] as const]),
  ]);
}
