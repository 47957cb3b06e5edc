import type { BuildFiles } from './files.ts';
import type { BuildRequest } from './request.ts';
import type { Redact } from './tool.ts';

/** What every step of a build works with. */
export interface StepContext {
  readonly request: BuildRequest;
  readonly files: BuildFiles;
  /** A folder of this build alone; it survives a container of the pod, not the pod. */
  readonly work: string;
  /** The environment of the tools: PATH, HOME in the work folder, containers' configuration. */
  readonly env: Readonly<Record<string, string>>;
  /** Takes every secret value that this pod was given out of a text. */
  readonly redact: Redact;
  /** A line of the build's log; redacted before it is printed. */
  readonly say: (line: string) => void;
  readonly signal: AbortSignal;
}
