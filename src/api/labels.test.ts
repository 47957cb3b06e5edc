import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { GROUP_PREFIX, loadedAnnotation, loadLabel, type ModuleName, namespaceOfKey, readyLabel } from './labels.ts';

/** Source: k8s.io/apimachinery/pkg/util/validation, IsQualifiedName. */
const VALID_NAME_PART = /^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/;

const dnsLabel = (longest: number) =>
  fc.stringMatching(new RegExp(`^[a-z0-9]([-a-z0-9]{0,${longest - 2}}[a-z0-9])?$`), { size: 'max' });

/** Names near the limit are where keys are cut. */
const moduleName: fc.Arbitrary<ModuleName> = fc.record({
  namespace: dnsLabel(63),
  name: fc.array(dnsLabel(63), { minLength: 1, maxLength: 3 }).map((parts) => parts.join('.')),
});

describe('the keys under which a Module stands on a Node', () => {
  it('are namespace, name and what they mean, while that fits', () => {
    const module = { namespace: 'default', name: 'my.module' };
    expect(loadLabel(module)).toBe('kmm.node.kubernetes.io/default.my.module.load');
    expect(readyLabel(module)).toBe('kmm.node.kubernetes.io/default.my.module.ready');
    expect(loadedAnnotation(module)).toBe('kmm.node.kubernetes.io/default.my.module.loaded');
  });

  it('are cut and carry a hash of the whole name where it does not fit', () => {
    const module = { namespace: 'n'.repeat(63), name: 'm'.repeat(63) };
    expect(loadLabel(module)).toMatch(/^kmm\.node\.kubernetes\.io\/n{49}_[0-9a-f]{8}\.load$/);
  });

  it('still fit whole at exactly 63 characters', () => {
    const module = { namespace: 'n'.repeat(20), name: 'm'.repeat(37) };
    expect(loadLabel(module)).toBe(`${GROUP_PREFIX}${module.namespace}.${module.name}.load`);
    expect(loadLabel({ ...module, name: 'm'.repeat(38) })).toContain('_');
  });

  it('are valid label keys, whatever the Module is called', () => {
    fc.assert(
      fc.property(moduleName, (module) => {
        for (const key of [loadLabel(module), readyLabel(module), loadedAnnotation(module)]) {
          expect(key.slice(GROUP_PREFIX.length)).toMatch(VALID_NAME_PART);
        }
      }),
    );
  });

  it('tell the namespace of their Module, or something that is no namespace', () => {
    fc.assert(
      fc.property(moduleName, (module) => {
        const namespace = namespaceOfKey(loadLabel(module));
        expect(namespace === module.namespace || namespace.includes('_')).toBe(true);
      }),
    );
    expect(namespaceOfKey(readyLabel({ namespace: 'drivers', name: 'my.driver' }))).toBe('drivers');
  });

  it('are never shared by two Modules', () => {
    fc.assert(
      fc.property(moduleName, moduleName, (a, b) => {
        fc.pre(a.namespace !== b.namespace || a.name !== b.name);
        expect(loadLabel(a)).not.toBe(loadLabel(b));
        expect(readyLabel(a)).not.toBe(readyLabel(b));
      }),
    );
  });

  it('are not shared with a Module that is named after the cut key of another', () => {
    const long = { namespace: 'team', name: 'm'.repeat(100) };
    const cut = loadLabel(long).slice(GROUP_PREFIX.length, -'.load'.length);
    // A name holds no underscore, so the nearest a person can come is the same with a hyphen.
    const impostor = { namespace: 'team', name: cut.slice('team.'.length).replace('_', '-') };
    expect(loadLabel(impostor)).not.toBe(loadLabel(long));
  });
});
