/**
 * How an object of ours is recognised, and how a change to it is told from a change of ours.
 *
 * The hash of the user's inputs decides whether a pod is outdated: not the rendered template, so that an operator version which
 * renders differently rolls nothing. A hand edit shows in `metadata.generation`: we record beside our write the generation which that
 * write leads to, and any other generation means that somebody else wrote the spec. Nothing has to be compared in defaulted form.
 */
import { hash } from 'node:crypto';
import { GROUP_PREFIX } from '../api/labels.ts';
import { canonicalJson } from '../kernel/canonical-json.ts';

/** On pod templates: hash of the user's inputs. On DaemonSets: the same, with what is the DaemonSet's own (its update strategy). */
export const INPUTS_ANNOTATION = `${GROUP_PREFIX}inputs`;

/** On DaemonSets: the generation that our last write of the spec led to. */
export const GENERATION_ANNOTATION = `${GROUP_PREFIX}generation`;

/** Sixteen hexadecimal digits that do not depend on the order of keys in an object. */
export function hashOfInputs(inputs: unknown): string {
  return hash('sha256', canonicalJson(inputs), 'hex').slice(0, 16);
}
