import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readModule } from './match-module.ts';

const MODULE = `
apiVersion: kmm.sigs.x-k8s.io/v1beta1
kind: Module
metadata: { name: mod, namespace: ns }
spec:
  selector: {}
  moduleLoader: {}
  kernelMappings:
    - { regexp: ^6, containerImage: a }
`;
const CONFIG_MAP = 'apiVersion: v1\nkind: ConfigMap\nmetadata: { name: c }\n';

function problemOf(text: string): string | undefined {
  const reading = readModule(text);
  return reading.ok ? undefined : reading.problem;
}

describe('readModule', () => {
  const expected = {
    ok: true,
    module: { name: 'mod', namespace: 'ns', mappings: [{ regexp: '^6', containerImage: 'a' }] },
  };

  it('reads the sample of this repository', () => {
    const reading = readModule(readFileSync('config/samples/module-sample.yaml', 'utf8'));
    expect(reading).toMatchObject({ ok: true, module: { name: 'module-sample', namespace: undefined } });
  });

  it.each([
    ['alone', MODULE],
    ['among other documents', `---\n${CONFIG_MAP}---\n${MODULE}---\n---\n${CONFIG_MAP}`],
    ['in a List', `apiVersion: v1\nkind: List\nitems:\n- ${MODULE.trim().replaceAll('\n', '\n  ')}`],
    ['with a byte order mark and carriage returns', `\uFEFF${MODULE.replaceAll('\n', '\r\n')}`],
  ])('finds a Module %s', (_, text) => {
    expect(readModule(text)).toEqual(expected);
  });

  it('finds a Module in JSON, as kubectl -o json prints it', () => {
    const module = {
      apiVersion: 'kmm.sigs.x-k8s.io/v1beta1',
      kind: 'Module',
      metadata: { name: 'mod', namespace: 'ns', managedFields: [] },
      spec: { selector: {}, moduleLoader: {}, kernelMappings: [{ regexp: '^6', containerImage: 'a' }] },
      status: {},
    };
    expect(readModule(JSON.stringify(module))).toEqual(expected);
  });

  it.each([
    ['', 'it is empty: write a Module'],
    ['# nothing\n---\n', 'it is empty: write a Module'],
    ['just words', 'it holds no Kubernetes object: write a Module'],
    ['[1, 2]', 'it holds no Kubernetes object: write a Module'],
    ['a: b', 'there is no Module, only an object without kind'],
    [CONFIG_MAP, 'there is no Module, only ConfigMap'],
    [`${MODULE}---\n${MODULE}`, 'there are 2 Modules, and one can be matched at a time: leave one'],
    ['a: b: c', 'not valid YAML: Nested mappings are not allowed in compact mappings at line 1, column 4'],
    ['a: *nowhere', 'not valid YAML: Unresolved alias'],
    ['kind: Module', 'apiVersion must be kmm.sigs.x-k8s.io/v1beta1'],
    [MODULE.replace('kmm.sigs', 'hub.kmm.sigs'), 'apiVersion must be kmm.sigs.x-k8s.io/v1beta1'],
    [MODULE.replace('name: mod,', ''), 'metadata.name is missing'],
    [MODULE.replace('namespace: ns', 'namespace: 7'), 'metadata.namespace must be a text'],
    [MODULE.slice(0, MODULE.indexOf('spec')), 'spec is missing'],
    [MODULE.replace('moduleLoader: {}', 'moduleLoader:'), 'spec.moduleLoader must be an object'],
    [MODULE.replace('moduleLoader: {}', ''), 'spec.moduleLoader is missing: this release needs both'],
    [MODULE.replace('kernelMappings', 'kernelMapping'), 'spec.kernelMappings is missing: this release needs both'],
    [MODULE.replace('- {', '  {'), 'spec.kernelMappings must be a list'],
    [MODULE.replace('- {', '- x\n    - {'), 'spec.kernelMappings[0] must be an object'],
    [MODULE.replace('regexp: ^6', 'literal: 6.10'), 'spec.kernelMappings[0].literal must be a text: put it in quotes'],
    [MODULE.replace('regexp: ^6', 'regexp: ^6, build: yes'), 'spec.kernelMappings[0].build must be an object'],
    [MODULE.replace('moduleLoader: {}', 'moduleLoader: { container: {} }'), 'belongs to the modprobe form of KMM 2.x'],
  ])('says of %j: %s', (text, problem) => {
    expect(problemOf(text)).toContain(problem);
    expect(problemOf(text)).not.toContain('\n');
  });

  it('ends soon and in a sentence where aliases multiply', () => {
    const bomb = Array.from({ length: 30 }, (_, i) => `a${i}: &a${i} [${i === 0 ? 'x' : `*a${i - 1}, *a${i - 1}`}]`);
    expect(problemOf(bomb.join('\n'))).toMatch(/^not valid YAML: /);
  });

  it('never throws', () => {
    const piece = fc.constantFrom(
      'a',
      ':',
      ' ',
      '\n',
      '- ',
      '{',
      '}',
      '*a',
      '&a',
      '"',
      '!!x ',
      'kind: Module\n',
      'spec: 1\n',
    );
    fc.assert(
      fc.property(
        fc.array(piece, { maxLength: 12 }).map((all) => all.join('')),
        (text) => {
          expect(readModule(text)).toHaveProperty('ok');
        },
      ),
      { numRuns: 500 },
    );
  });
});
