import type { Command } from './commands.ts';
import { expectAsWished, expectGone, expectNoSilentWait, expectSilence, expectTheHealthyUnharmed } from './outcome.ts';
import { World } from './world.ts';

/** Plays a history to its end. At each write and after each command the judge looks; when all is quiet, so do the outcomes. */
export function play(commands: readonly Command[]): void {
  const world = new World();
  for (const command of commands) world.run(command);
  world.settle();
  if (world.memory.deleting) {
    expectGone(world);
  } else {
    expectTheHealthyUnharmed(world);
    expectNoSilentWait(world);
    if (world.correct()) world.settle();
    expectAsWished(world);
  }
  expectSilence(world);
}
