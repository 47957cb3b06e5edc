import type { ImageBuild } from '../../build/engines/engine.ts';
import type { BuildProgress } from './progress.ts';

/** The image of one kernel, as the Module wants it now. */
export interface PlannedImage {
  readonly build: ImageBuild;
  readonly progress: BuildProgress;
  /** What is to be built is not known, for want of a ConfigMap: nothing begins, and nothing that runs or is there is given up. */
  readonly undecided?: true;
  /** It is known what is to be built, and it must not begin yet: `progress` tells why. */
  readonly blocked?: true;
}

export interface WantedImage extends PlannedImage {
  /** Status has what its pod told, so the pod may go. */
  readonly recorded: boolean;
}

/** What every Module wants built: Modules put it here, and the image controller, which alone sees them all, sees to it. */
export class ImageDesk {
  readonly #wanted = new Map<string, readonly WantedImage[]>();
  /** The API server's sentences, by key of the build. */
  readonly #refusals = new Map<string, string>();
  readonly #onChange: () => void;
  readonly #onRefusal: (moduleKey: string) => void;

  constructor(onChange: () => void, onRefusal: (moduleKey: string) => void) {
    this.#onChange = onChange;
    this.#onRefusal = onRefusal;
  }

  /** Replaces what the Module asked for before. An empty list cancels what is being built for it. */
  publish(moduleKey: string, images: readonly WantedImage[]): void {
    const before = this.#wanted.get(moduleKey) ?? [];
    if (images.length === 0 && before.length === 0 && this.#wanted.has(moduleKey)) return;
    this.#wanted.set(moduleKey, images);
    this.#forgetRefusals(before, images);
    this.#onChange();
  }

  /** The Module is gone; the garbage collector takes its pods. */
  forget(moduleKey: string): void {
    this.#forgetRefusals(this.#wanted.get(moduleKey) ?? [], []);
    this.#wanted.delete(moduleKey);
  }

  /** The API server refuses the pod of this build: its Module tells why. */
  refused(key: string, sentence: string): void {
    if (this.#refusals.get(key) === sentence) return;
    this.#refusals.set(key, sentence);
    this.#wakeModulesOf(key);
  }

  allowed(key: string): void {
    if (this.#refusals.delete(key)) this.#wakeModulesOf(key);
  }

  refusal(key: string): string | undefined {
    return this.#refusals.get(key);
  }

  #wakeModulesOf(key: string): void {
    for (const [moduleKey, images] of this.#wanted) {
      if (images.some(({ build }) => build.key === key)) this.#onRefusal(moduleKey);
    }
  }

  #forgetRefusals(before: readonly WantedImage[], now: readonly WantedImage[]): void {
    const kept = new Set(now.map(({ build }) => build.key));
    for (const { build } of before) if (!kept.has(build.key)) this.#refusals.delete(build.key);
  }

  get wanted(): ReadonlyMap<string, readonly WantedImage[]> {
    return this.#wanted;
  }
}
