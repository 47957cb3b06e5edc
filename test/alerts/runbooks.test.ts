/** The runbooks against the program: what they tell to look for is what it writes. */
import { glob, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { ALERTS } from '../../hack/generate/alerts.ts';
import fields from '../../src/api/fields.gen.json' with { type: 'json' };
import { buildStatus, progressOf } from '../../src/controllers/image/progress.ts';
import { aBuild, aBuildPod } from '../harness/builds.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** What stands in backquotes and is not a command to type. */
function quotedIn(text: string): readonly string[] {
  const quoted = [...text.matchAll(/`([^`]+)`/g)].map(([, words = '']) => words);
  return quoted.filter((words) => !words.startsWith('kubectl '));
}

/** Every message that the program logs. */
async function logLines(): Promise<ReadonlySet<string>> {
  const lines = new Set<string>();
  for await (const file of glob('src/**/*.ts', { cwd: ROOT, exclude: ['**/*.test.ts'] })) {
    const source = await readFile(join(ROOT, file), 'utf8');
    const calls = source.matchAll(/\blog(?:\.(?:debug|info|warn|error)|\[level\])\(\s*(?:\{[^;]*?\},\s*)?'([^']+)'/g);
    for (const [, line = ''] of calls) lines.add(line);
  }
  return lines;
}

function hasField(tree: unknown, [name, ...rest]: readonly string[]): boolean {
  if (name === undefined) return true;
  if (typeof tree !== 'object' || tree === null || !(name in tree)) return false;
  return hasField(Object.entries(tree).find(([each]) => each === name)?.[1], rest);
}

describe('a runbook', () => {
  it('quotes as lines of the log only what the operator logs', async () => {
    const logged = await logLines();
    const told = ALERTS.flatMap(({ name, steps }) =>
      steps
        .filter((step) => step.includes('The log '))
        .flatMap((step) => [...quotedIn(step), ...[...step.matchAll(/grep "([^"]+)"/g)].map(([, words = '']) => words)])
        .map((line) => ({ name, line })),
    );
    expect(new Set(told.map(({ name }) => name))).toEqual(new Set(['KMMOperatorNotLeading', 'KMMWatchSilent']));
    expect(told.filter(({ line }) => !logged.has(line))).toEqual([]);
  });

  it('names only fields that a Module has', () => {
    const paths = ALERTS.flatMap(({ steps }) => steps.flatMap(quotedIn)).filter((words) =>
      /^(spec|status)\./.test(words),
    );
    expect(paths).toContain('status.kernels[].build');
    expect(paths.filter((path) => !hasField(fields, path.replaceAll('[]', '').split('.')))).toEqual([]);
  });

  // It told to look for the words `user` and `infrastructure`, which are in no status.
  it('tells whose it is to mend a failed build by what stands in the status of one', () => {
    const steps = ALERTS.find(({ name }) => name === 'KMMBuildFailing')?.steps ?? [];
    const [step = ''] = steps.filter((each) => each.includes('to mend'));
    const failures = [
      { blame: 'user', attempt: 1 },
      { blame: 'infrastructure', attempt: 1 },
      { blame: 'infrastructure', attempt: 3 },
    ] as const;
    const statuses = failures.map(({ blame, attempt }) => {
      const build = aBuild();
      const observation = { phase: 'Failed', at: '2026-03-01T12:00:00Z', blame, step: 'build', message: 'no' } as const;
      const pods = [aBuildPod(build, observation, { attempt })];
      const retry = { attempts: 3, backoffMs: 30_000 };
      return JSON.stringify(buildStatus(build, progressOf(build, pods, undefined, retry)));
    });
    const signs = quotedIn(step);
    expect(signs).not.toEqual([]);
    expect(signs.filter((sign) => !statuses.some((status) => status.includes(sign)))).toEqual([]);
    const shown = statuses.map((status) => signs.filter((sign) => status.includes(sign)).join());
    expect(new Set(shown).size).toBe(failures.length);
  });
});
