import fc from 'fast-check';
import { RE2JS } from 're2js';
import { describe, expect, it } from 'vitest';
import { expandTemplate, TEMPLATE_VARIABLES } from '../kernel/template.ts';
import { IMAGE_TEMPLATE_RULES } from './validation.ts';

const [closed, known] = IMAGE_TEMPLATE_RULES.map(({ rule }) => {
  // Both rules are calls of matches(), which CEL hands to RE2: the last one of each is the decision itself.
  const pattern = RE2JS.compile(/self\.matches\('([^']*)'\)$/.exec(rule)?.[1] ?? '');
  return (image: string): boolean => pattern.matcher(image).find() !== rule.startsWith('!');
});

const VALUES = new Map(TEMPLATE_VARIABLES.map((name) => [name, 'x']));

/** Pieces of which image references, good and bad, are made. */
const piece = fc.constantFrom(
  '$',
  '{',
  '}',
  ':-',
  'a',
  '/',
  'FOO',
  'KERNEL_X',
  '${KERNEL_X:-',
  '${FOO:-a}',
  '${ARCH:-a}',
  ...TEMPLATE_VARIABLES.map((v) => `\${${v}}`),
);

describe('the rules for image references', () => {
  it('admit exactly what the template understands', () => {
    fc.assert(
      fc.property(
        fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join('')),
        (image) => {
          expect(closed?.(image) === true && known?.(image) === true, image).toBe(expandTemplate(image, VALUES).ok);
        },
      ),
      { numRuns: 2000 },
    );
  });
});
