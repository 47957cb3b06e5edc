import { describe, expect, it } from 'vitest';
import { buildVariables } from './build-variables.ts';

const subject = { kernel: '6.1.0+', arch: 'amd64', module: { name: 'mod', namespace: 'ns' } };
const own = {
  KERNEL_FULL_VERSION: '6.1.0+',
  KERNEL_VERSION: '6.1.0+',
  MOD_NAME: 'mod',
  MOD_NAMESPACE: 'ns',
  ARCH: 'amd64',
};

describe('buildVariables', () => {
  it("tell the node's real kernel, where a regexp matched and where nothing is built", () => {
    expect(buildVariables({ ...subject, mapping: { regexp: '^6' } })).toEqual({ buildArgs: own, ignored: [] });
  });

  it("hold the user's too, as written", () => {
    const buildArgs = [
      { name: 'SOME_KEY', value: 'SOME_VALUE' },
      { name: 'MACHINE', value: 'x86_64' },
      { name: 'TEMPLATE', value: '${KERNEL_X}' },
      { name: '__proto__', value: 'a name like any other' },
    ];
    const { buildArgs: all, ignored } = buildVariables({ ...subject, mapping: { build: { buildArgs } } });
    expect(Object.entries(all)).toEqual([...Object.entries(own), ...buildArgs.map(({ name, value }) => [name, value])]);
    expect(ignored).toEqual([]);
  });

  it('say which of the user cannot count', () => {
    const buildArgs = [
      { name: 'KERNEL_VERSION', value: '1' },
      { name: 'MOD_NAME', value: 'other' },
      { name: 'ARCH', value: 'x86_64' },
      { name: 'A', value: 'b' },
    ];
    expect(buildVariables({ ...subject, mapping: { build: { buildArgs } } })).toEqual({
      buildArgs: { ...own, A: 'b' },
      ignored: ['KERNEL_VERSION', 'MOD_NAME', 'ARCH'],
    });
  });

  it.each([[null], ['x'], [{}], [{ buildArgs: 'x' }], [{ buildArgs: [null, 1, { name: 'A' }, { value: 'b' }] }]])(
    'find no arguments in %j',
    (build) => {
      expect(buildVariables({ ...subject, mapping: { build } }).buildArgs).toEqual(own);
    },
  );
});
