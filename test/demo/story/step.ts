import type { Scene } from '../scene.ts';

export interface Step {
  readonly title: string;
  /** @throws StoryEnded when a check failed without which the next steps make no sense */
  readonly tell: (scene: Scene) => Promise<void>;
}
