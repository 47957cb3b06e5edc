/** What admission refuses, on the real API server: one clear sentence for each mistake. */
import { describe, expect, test } from 'vitest';

import { type CrdSchema, moduleCrd } from '../../../src/api/crd.ts';
import type { CelRule } from '../../../src/api/embedded.ts';
import { useCluster } from '../../harness/cluster.ts';
import { EVERY_KERNEL, installCrd } from '../../harness/modules.ts';
import { moduleWith } from './module-with.ts';
import { EXACTLY_ONE, MAX_UNAVAILABLE, REFUSALS, type Refusal } from './refusals.ts';
import { type Answer, tryModule } from './try-module.ts';

const cluster = await useCluster();
await installCrd(cluster);
const namespace = await cluster.freshNamespace('refused');

/** Said beside a wrong type, a missing field or too long a list: the server looks at the rest only when that is right. */
const REST_NOT_CHECKED =
  '<nil>: Invalid value: null: some validation rules were not checked because the object was invalid; ' +
  'correct the existing errors to complete validation';

/** What kubectl says is wrong, mistake by mistake. */
function mistakes(stderr: string): readonly string[] {
  const opening = 'The Module "m" is invalid: ';
  if (!stderr.startsWith(opening)) return [stderr];
  const said = stderr.slice(opening.length);
  const lines = said.startsWith('\n* ') ? said.split('\n* ').slice(1) : [said];
  return lines.filter((line) => line !== REST_NOT_CHECKED);
}

/** kubectl's whole answer: one field, one sentence. */
function expectRefusal({ code, stderr }: Answer, { field, sentence }: Refusal): void {
  const said = mistakes(stderr);
  expect(said).toHaveLength(1);
  const [only = ''] = said;
  expect(`${only.slice(0, field.length + 2)}...${only.slice(-sentence.length)}`, only).toBe(`${field}: ...${sentence}`);
  expect(code).toBe(1);
}

describe.each(REFUSALS)('of %s', (_, refusals) => {
  test.each(refusals)('$what is refused with one sentence that names the field', async (refusal) => {
    expectRefusal(await tryModule(cluster, namespace, refusal.module), refusal);
  });
});

function* rulesOf(schema: CrdSchema): Generator<CelRule> {
  const own = schema['x-kubernetes-validations'];
  if (Array.isArray(own)) yield* own;
  for (const inner of Object.values(schema.properties ?? {})) yield* rulesOf(inner);
  if (schema.items !== undefined) yield* rulesOf(schema.items);
  if (schema.additionalProperties !== undefined) yield* rulesOf(schema.additionalProperties);
}

test('every rule of the CRD has a Module here that it refuses', () => {
  const tried = REFUSALS.flatMap(([, refusals]) => refusals.map(({ sentence }) => sentence));
  const rules = moduleCrd().spec.versions.flatMap(({ schema }) => [...rulesOf(schema.openAPIV3Schema)]);
  expect(rules.length).toBeGreaterThan(20);
  // What names the culprit begins otherwise than the rule's plain message, but gives the same advice.
  const advice = (message = ''): string => message.slice(message.indexOf(': '));
  const untried = rules.filter(({ message }) => !tried.some((sentence) => sentence.endsWith(advice(message))));
  expect(untried.map(({ message }) => message)).toEqual([]);
});

test('a Module with two mistakes is told both', async () => {
  const { stderr } = await tryModule(
    cluster,
    namespace,
    moduleWith({ kernelMappings: [{ ...EVERY_KERNEL, literal: 'x' }], upgradePolicy: { maxUnavailable: 0 } }),
  );
  expect(stderr).toContain(EXACTLY_ONE);
  expect(stderr).toContain(MAX_UNAVAILABLE);
});
