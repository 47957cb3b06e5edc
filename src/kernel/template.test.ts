import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ALL_RELEASES } from '../../test/harness/real-releases.ts';
import { expandTemplate, TEMPLATE_VARIABLES, templateValues } from './template.ts';

const subject = {
  kernel: '5.16.11-200.fc35.x86_64',
  arch: 'amd64',
  module: { name: 'my.module', namespace: 'drivers' },
};

function expand(template: string, kernel = subject.kernel) {
  return expandTemplate(template, templateValues({ ...subject, kernel }));
}

describe('expandTemplate', () => {
  it.each([
    ['KERNEL_FULL_VERSION', '5.16.11-200.fc35.x86_64'],
    ['KERNEL_VERSION', '5.16.11-200.fc35.x86_64'],
    ['KERNEL_XYZ', '5.16.11'],
    ['KERNEL_X', '5'],
    ['KERNEL_Y', '16'],
    ['KERNEL_Z', '11'],
    ['MOD_NAME', 'my.module'],
    ['MOD_NAMESPACE', 'drivers'],
    ['ARCH', 'amd64'],
  ])('replaces ${%s} by %s', (name, value) => {
    expect(expand(`\${${name}}`)).toEqual({ ok: true, text: value });
    expect(TEMPLATE_VARIABLES).toContain(name);
  });

  it.each([
    ['quay.io/${MOD_NAMESPACE}/${MOD_NAME}:${KERNEL_XYZ}-${ARCH}', 'quay.io/drivers/my.module:5.16.11-amd64'],
    ['no variable', 'no variable'],
    ['', ''],
    ['$', '$'],
    ['$KERNEL_X', '$KERNEL_X'],
    ['a$b$', 'a$b$'],
    ['$${KERNEL_X}', '$5'],
    ['$$${KERNEL_X}$', '$$5$'],
    ['${KERNEL_X}}', '5}'],
    ['{KERNEL_X}', '{KERNEL_X}'],
    ['${KERNEL_X:-9}', '5'],
    ['${KERNEL_X:-}', '5'],
  ])('makes of %s %s', (template, text) => {
    expect(expand(template)).toEqual({ ok: true, text });
  });

  it.each([
    ['6.1.0+', '6.1.0_'],
    ['6.5.0-local~1', '6.5.0-local_1'],
    ['my kernel 6', 'my_kernel_6'],
    ['6.1.0-größer', '6.1.0-gr__er'],
    ['5.14.0-427.13.1.el9_4.aarch64+64k', '5.14.0-427.13.1.el9_4.aarch64_64k'],
    ['a🐧b', 'a_b'],
    ['a/b:c@d', 'a_b_c_d'],
  ])('puts _ for what a tag cannot hold: %s becomes %s', (kernel, text) => {
    expect(expand('${KERNEL_FULL_VERSION}', kernel)).toEqual({ ok: true, text });
  });

  it('takes the default where a kernel has no numbers, as it stands', () => {
    expect(expand('${KERNEL_X:-any}', 'custom')).toEqual({ ok: true, text: 'any' });
    expect(expand('${KERNEL_XYZ:-a+b/${c}!', 'custom')).toEqual({ ok: true, text: 'a+b/${c!' });
    expect(expand('${KERNEL_XYZ:-}', 'custom')).toEqual({ ok: true, text: '' });
    expect(expand('${ARCH:-${KERNEL_X}', 'custom')).toEqual({ ok: true, text: 'amd64' });
  });

  it('says which variable a kernel does not have, and what to write', () => {
    expect(expand('a:${KERNEL_XYZ}', 'custom')).toEqual({
      ok: false,
      problem:
        'kernel "custom" has no KERNEL_XYZ: write a default, as in ${KERNEL_XYZ:-0}, or use ${KERNEL_FULL_VERSION}',
    });
    expect(expand('a:${KERNEL_FULL_VERSION}', 'custom')).toEqual({ ok: true, text: 'a:custom' });
  });

  it.each(['FOO', '', 'kernel_x', 'KERNEL_X ', 'KERNEL_X-9', 'KERNEL_X:9', '${KERNEL_X', 'constructor', '__proto__'])(
    'names the variable ${%s}, which there is not',
    (name) => {
      const expansion = expand(`a:\${${name}}`);
      expect(expansion).toMatchObject({ ok: false });
      expect(expansion).toHaveProperty(
        'problem',
        expect.stringContaining(`unknown variable \${${name}}: write one of KERNEL_`),
      );
    },
  );

  it.each(['a:${KERNEL_X', '${', 'a:${KERNEL_X}-${ARCH', '${KERNEL_X:-'])(
    'refuses %s, which is not closed',
    (template) => {
      expect(expand(template)).toMatchObject({ ok: false, problem: expect.stringContaining('is not closed') });
    },
  );

  it('gives what its pieces give, in any order', () => {
    const values = templateValues(subject);
    const variable = fc.constantFrom(...TEMPLATE_VARIABLES).map((name) => [`\${${name}}`, values.get(name) ?? '']);
    const withDefault = fc
      .tuple(
        fc.constantFrom(...TEMPLATE_VARIABLES),
        fc.string().map((text) => text.replaceAll('}', '')),
      )
      .map(([name, preset]) => [`\${${name}:-${preset}}`, values.get(name) ?? '']);
    // A $ at the end of a piece could begin a variable with the next one.
    const literal = fc
      .string()
      .map((text) => text.replaceAll('$', '') || '-')
      .map((text) => [text, text]);
    fc.assert(
      fc.property(fc.array(fc.oneof(variable, withDefault, literal)), (pieces) => {
        const template = pieces.map(([source]) => source).join('');
        expect(expandTemplate(template, values)).toEqual({ ok: true, text: pieces.map(([, text]) => text).join('') });
      }),
    );
  });

  it('never throws, whatever the kernel and the template are', () => {
    const kernel = fc.oneof(fc.constantFrom(...ALL_RELEASES), fc.string({ unit: 'binary' }));
    const template = fc
      .array(fc.constantFrom('${', '}', '$', ':-', 'KERNEL_X', 'ARCH', 'a', '\n'))
      .map((all) => all.join(''));
    fc.assert(
      fc.property(kernel, template, (release, text) => {
        expect(expand(text, release)).toHaveProperty('ok');
      }),
      { numRuns: 1_000 },
    );
  });
});
