import { RE2JS, RE2JSException } from 're2js';
import { BoundedCache } from './bounded-cache.ts';
import { programSizeOf } from './pattern-size.ts';

/** A user's pattern after compilation; `problem` is RE2's own sentence. */
export type Pattern =
  | { readonly ok: true; readonly found: (text: string) => boolean }
  | { readonly ok: false; readonly problem: string };

/**
 * The same patterns come back at every reconcile, and compiling one costs far more than matching it does. The weight is in instructions
 * of about 400 bytes: a pattern of a dozen letters, with repetitions, can have thousands of them.
 */
const compiled = new BoundedCache<Pattern>({ entries: 1_024, weight: 100_000 });

const TOO_LARGE =
  'its repetitions make it too large: what is repeated counts as often as it may come, at most about 5,000 characters in all';

/** Compiles a pattern as Go's regexp package would; found anywhere in a text, as by its MatchString. Matching takes linear time. */
export function compilePattern(source: string): Pattern {
  const known = compiled.get(source);
  if (known !== undefined) return known;
  const { pattern, instructions } = compile(source);
  compiled.set(source, pattern, instructions);
  return pattern;
}

/** Of about 400 bytes each. Without repetitions the longest pattern that admission takes comes to a fifth of it. */
const MOST_INSTRUCTIONS = 10_000;

function compile(source: string): { readonly pattern: Pattern; readonly instructions: number } {
  // Before RE2 makes it: a thousand letters can ask for half a gigabyte.
  if (programSizeOf(source) > MOST_INSTRUCTIONS) {
    return { pattern: { ok: false, problem: TOO_LARGE }, instructions: 1 };
  }
  try {
    const re = RE2JS.compile(source);
    // find(), not test(): that one keeps the automaton it builds, measured at 1.5 MB for one hostile pattern.
    return { pattern: { ok: true, found: (text) => re.matcher(text).find() }, instructions: re.programSize() };
  } catch (error) {
    if (!(error instanceof RE2JSException)) throw error;
    return { pattern: { ok: false, problem: error.message }, instructions: 1 };
  }
}
