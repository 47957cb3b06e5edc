/** The steps of a build, in their order. */
export const STEPS = ['check', 'source', 'build', 'sign', 'verify', 'push', 'report'] as const;
export type Step = (typeof STEPS)[number];

/** `user`: the same input fails again, so nobody tries until it changes. `infrastructure`: it may work in a while. */
export type FailureCause = 'user' | 'infrastructure';

/** Ends a build. Its message is what the user reads in the Module's status: subject, fact, next step, and no secret. */
export class BuildFailure extends Error {
  override readonly name = 'BuildFailure';
  readonly step: Step;
  /** Whose turn it is: decides the exit code, and with it whether the build is tried again. */
  readonly blame: FailureCause;
  /** The last lines of the tool that failed, without secrets; the empty string where there are none. */
  readonly log: string;

  constructor(step: Step, blame: FailureCause, message: string, options: { log?: string; cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.step = step;
    this.blame = blame;
    this.log = options.log ?? '';
  }
}

/** Exit codes of `kmm build-image`. */
export const EXIT_CODES = { done: 0, user: 10, infrastructure: 20 } as const;
