import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { FINE, LeaderElectionWorld, type Weather } from '../../test/harness/leader-election-world.ts';

type Which = 0 | 1;

type Action =
  | { readonly kind: 'pass'; readonly ms: number }
  | { readonly kind: 'weather'; readonly host: Which; readonly weather: Weather }
  | { readonly kind: 'stopped' | 'frozen' | 'running' | 'terminate' | 'kill'; readonly host: Which }
  | { readonly kind: 'nap'; readonly host: Which; readonly ms: number }
  | { readonly kind: 'clock'; readonly host: Which; readonly byMs: number };

const host = fc.constantFrom<Which>(0, 1);
// Around the times that count: the lease, the deadline, the time limit of a request, the pause.
const someTime = fc.oneof(fc.nat(400), fc.nat(1_600), fc.integer({ min: 2_500, max: 3_500 }));
const weather: fc.Arbitrary<Weather> = fc.oneof(
  fc.constant(FINE),
  fc.record({
    fate: fc.constantFrom('fine' as const, 'fine' as const, 'cut' as const, 'deaf' as const, 'broken' as const),
    upMs: someTime,
    downMs: someTime,
  }),
);
const common: fc.Arbitrary<Action>[] = [
  fc.record({ kind: fc.constant('pass' as const), ms: someTime }),
  fc.record({ kind: fc.constant('pass' as const), ms: someTime }),
  fc.record({ kind: fc.constant('weather' as const), host, weather }),
  fc.record({ kind: fc.constant('nap' as const), host, ms: fc.integer({ min: 2_500, max: 6_000 }) }),
  fc.record({ kind: fc.constantFrom('stopped' as const, 'running' as const), host }),
  fc.record({ kind: fc.constantFrom('terminate' as const, 'kill' as const), host }),
];
// A clock that is set back while its virtual machine is frozen hides the time that passed from every clock of the host:
// nothing can be done against that, so the two are not mixed.
const withFreezing = fc.oneof(...common, fc.record({ kind: fc.constant('frozen' as const), host }));
const withClockSetting = fc.oneof(
  ...common,
  fc.record({ kind: fc.constant('clock' as const), host, byMs: fc.integer({ min: -5_000, max: 5_000 }) }),
);

async function perform(world: LeaderElectionWorld, action: Action): Promise<void> {
  if (action.kind === 'pass') {
    await world.pass(action.ms);
    return;
  }
  const target = world.hosts[action.host];
  switch (action.kind) {
    case 'weather':
      target.weather = action.weather;
      break;
    case 'stopped':
    case 'frozen':
    case 'running':
      target.state = action.kind;
      break;
    case 'terminate':
      target.terminate();
      break;
    case 'kill':
      target.kill();
      break;
    case 'nap':
      target.state = 'stopped';
      await world.pass(action.ms);
      target.state = 'running';
      await world.pass(0);
      break;
    case 'clock':
      target.wallMs += action.byMs;
      break;
  }
  await world.look();
}

it.each([
  ['are stopped, frozen, killed and restarted', withFreezing],
  ['are stopped, killed and restarted, and their clocks are set', withClockSetting],
])(
  'never do two lead, and one does when all is well again, while requests are late or lost and processes %s',
  async (_what, action) => {
    const skew = fc.integer({ min: -3_600_000, max: 3_600_000 });
    let terms = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.tuple(skew, skew),
        fc.array(action, { minLength: 10, maxLength: 60, size: 'max' }),
        async (skews, actions) => {
          const world = new LeaderElectionWorld(skews);
          for (const each of actions) await perform(world, each);
          expect(world.violations).toEqual([]);
          for (const each of world.hosts) {
            each.weather = FINE;
            each.state = 'running';
          }
          // What is still under way ends, the lease runs out, and the next try takes it.
          await world.pass(12_000);
          expect(world.violations).toEqual([]);
          expect(world.leaders).toHaveLength(1);
          terms += world.terms;
        },
      ),
      { numRuns: 300 },
    );
    // The property says something only where leadership passes from one to the other.
    expect(terms).toBeGreaterThan(900);
  },
  60_000,
);
