import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { loaderSecurityContext, pluginSecurityContext } from './security-context.ts';

const DEFAULT = {
  runAsUser: 0,
  privileged: false,
  allowPrivilegeEscalation: false,
  seccompProfile: { type: 'RuntimeDefault' },
  capabilities: { add: ['SYS_MODULE'], drop: ['ALL'] },
};

type SecurityContext = Readonly<Record<string, unknown>>;

describe('the security context of a loader', () => {
  it('is SYS_MODULE and nothing else where the user says nothing', () => {
    expect(loaderSecurityContext(undefined)).toEqual(DEFAULT);
    expect(loaderSecurityContext({})).toEqual(DEFAULT);
  });

  it.each<[string, SecurityContext, SecurityContext]>([
    ['another user', { runAsUser: 1000 }, { runAsUser: 1000 }],
    ['a group', { runAsGroup: 7 }, { runAsGroup: 7 }],
    ['a read-only root', { readOnlyRootFilesystem: true }, { readOnlyRootFilesystem: true }],
    ['SELinux options', { seLinuxOptions: { type: 'spc_t' } }, { seLinuxOptions: { type: 'spc_t' } }],
    ['a seccomp profile', { seccompProfile: { type: 'Unconfined' } }, { seccompProfile: { type: 'Unconfined' } }],
    ['privilege escalation', { allowPrivilegeEscalation: true }, { allowPrivilegeEscalation: true }],
    [
      'more capabilities',
      { capabilities: { add: ['NET_ADMIN'] } },
      { capabilities: { add: ['NET_ADMIN', 'SYS_MODULE'], drop: ['ALL'] } },
    ],
    [
      'fewer dropped capabilities',
      { capabilities: { drop: ['NET_RAW'] } },
      { capabilities: { add: ['SYS_MODULE'], drop: ['NET_RAW'] } },
    ],
    [
      'SYS_MODULE already',
      { capabilities: { add: ['SYS_MODULE'] } },
      { capabilities: { add: ['SYS_MODULE'], drop: ['ALL'] } },
    ],
    [
      'SYS_MODULE under its other name',
      { capabilities: { add: ['CAP_SYS_MODULE'] } },
      { capabilities: { add: ['CAP_SYS_MODULE'], drop: ['ALL'] } },
    ],
    ['all capabilities', { capabilities: { add: ['ALL'] } }, { capabilities: { add: ['ALL'], drop: ['ALL'] } }],
    [
      'SYS_MODULE dropped: it stays, for without it nothing can be loaded',
      { capabilities: { drop: ['SYS_MODULE', 'CAP_SYS_MODULE', 'NET_RAW'] } },
      { capabilities: { add: ['SYS_MODULE'], drop: ['NET_RAW'] } },
    ],
  ])('honours %s', (_what, user, expected) => {
    expect(loaderSecurityContext(user)).toEqual({ ...DEFAULT, ...expected });
  });

  it('gives no uid 0 to a container that must not run as root: the kubelet would refuse to start it', () => {
    expect(loaderSecurityContext({ runAsNonRoot: true })).not.toHaveProperty('runAsUser');
    expect(loaderSecurityContext({ runAsNonRoot: true, runAsUser: 5 })).toMatchObject({ runAsUser: 5 });
    expect(loaderSecurityContext({ runAsNonRoot: false })).toMatchObject({ runAsUser: 0 });
  });

  it.each<[string, SecurityContext]>([
    ['privileged', { privileged: true }],
    ['privileged, with escalation forbidden by the user', { privileged: true, allowPrivilegeEscalation: false }],
    ['SYS_ADMIN', { capabilities: { add: ['SYS_ADMIN'] } }],
    ['CAP_SYS_ADMIN', { capabilities: { add: ['CAP_SYS_ADMIN'] } }],
    [
      'CAP_SYS_ADMIN with escalation forbidden',
      { allowPrivilegeEscalation: false, capabilities: { add: ['CAP_SYS_ADMIN'] } },
    ],
  ])('leaves allowPrivilegeEscalation: false out beside %s, which the API server refuses', (_what, user) => {
    expect(loaderSecurityContext(user)).not.toHaveProperty('allowPrivilegeEscalation');
  });

  it('keeps allowPrivilegeEscalation: true beside privileged', () => {
    expect(loaderSecurityContext({ privileged: true, allowPrivilegeEscalation: true })).toMatchObject({
      privileged: true,
      allowPrivilegeEscalation: true,
    });
  });

  it('does not mind what an old CRD let through', () => {
    expect(loaderSecurityContext({ capabilities: null })).toEqual(DEFAULT);
    expect(loaderSecurityContext({ capabilities: { add: 'SYS_ADMIN', drop: [7] } })).toEqual(DEFAULT);
  });

  it('is never one that the API server refuses, and always has SYS_MODULE', () => {
    const capability = fc.constantFrom(
      'SYS_ADMIN',
      'CAP_SYS_ADMIN',
      'SYS_MODULE',
      'CAP_SYS_MODULE',
      'NET_ADMIN',
      'ALL',
    );
    const user = fc.record(
      {
        privileged: fc.boolean(),
        allowPrivilegeEscalation: fc.boolean(),
        runAsNonRoot: fc.boolean(),
        runAsUser: fc.nat(2),
        capabilities: fc.record({ add: fc.array(capability), drop: fc.array(capability) }, { requiredKeys: [] }),
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(user, (context) => {
        const result = loaderSecurityContext(context);
        expect(refusal(result)).toBeUndefined();
        expect(addedBy(result).some((name) => /^(ALL|(CAP_)?SYS_MODULE)$/.test(name))).toBe(true);
      }),
    );
  });
});

describe('the security context of a device plugin', () => {
  it('is privileged', () => {
    expect(pluginSecurityContext(undefined)).toEqual({ privileged: true });
    expect(pluginSecurityContext({ privileged: false })).toEqual({ privileged: true });
  });

  it('keeps what else the user says', () => {
    expect(pluginSecurityContext({ runAsUser: 3, allowPrivilegeEscalation: true })).toEqual({
      privileged: true,
      runAsUser: 3,
      allowPrivilegeEscalation: true,
    });
  });

  it('leaves out allowPrivilegeEscalation: false, which the API server refuses beside privileged', () => {
    expect(pluginSecurityContext({ allowPrivilegeEscalation: false })).toEqual({ privileged: true });
  });
});

/** Source: k8s.io/kubernetes/pkg/apis/core/validation, ValidateSecurityContext. */
function refusal(context: SecurityContext): string | undefined {
  if (context['allowPrivilegeEscalation'] !== false) return undefined;
  if (context['privileged'] === true) return 'cannot set allowPrivilegeEscalation to false and privileged to true';
  if (addedBy(context).includes('CAP_SYS_ADMIN'))
    return 'cannot set allowPrivilegeEscalation to false and add CAP_SYS_ADMIN';
  return undefined;
}

function addedBy({ capabilities }: SecurityContext): string[] {
  if (capabilities === null || typeof capabilities !== 'object' || !('add' in capabilities)) return [];
  const { add } = capabilities;
  return Array.isArray(add) ? add.filter((name) => typeof name === 'string') : [];
}
