type SecurityContext = Readonly<Record<string, unknown>>;

/**
 * The loader's security context: CAP_SYS_MODULE and nothing else, unless the user says otherwise.
 *
 * What the user sets is honoured, field by field; SYS_MODULE always stays. `allowPrivilegeEscalation: false` is left out beside
 * `privileged: true` or SYS_ADMIN, because the API server refuses the pair
 * (k8s.io/kubernetes/pkg/apis/core/validation, ValidateSecurityContext).
 */
export function loaderSecurityContext(user: SecurityContext | undefined): SecurityContext {
  const { capabilities: userCapabilities, ...userRest } = user ?? {};
  const capabilities = mergeCapabilities(userCapabilities);
  const escalates = userRest['privileged'] === true || capabilities.add.some((name) => isCapability(name, 'SYS_ADMIN'));
  // A user who asks for a non-root container gets no uid of ours that contradicts it.
  const asNonRoot = userRest['runAsNonRoot'] === true;
  const merged: Record<string, unknown> = {
    ...(asNonRoot ? {} : { runAsUser: 0 }),
    privileged: false,
    allowPrivilegeEscalation: false,
    seccompProfile: { type: 'RuntimeDefault' },
    ...userRest,
    capabilities,
  };
  if (escalates && merged['allowPrivilegeEscalation'] === false) delete merged['allowPrivilegeEscalation'];
  return merged;
}

/** The device plugin's: privileged, as the kubelet's plugin socket and the devices need it. */
export function pluginSecurityContext(user: SecurityContext | undefined): SecurityContext {
  const { allowPrivilegeEscalation, ...rest } = user ?? {};
  return {
    ...rest,
    ...(allowPrivilegeEscalation === undefined || allowPrivilegeEscalation === false
      ? {}
      : { allowPrivilegeEscalation }),
    privileged: true,
  };
}

function mergeCapabilities(user: unknown): { readonly add: readonly string[]; readonly drop: readonly string[] } {
  const add = strings(user, 'add');
  const drop = strings(user, 'drop');
  return {
    add: add.some((name) => isCapability(name, 'SYS_MODULE') || name === 'ALL') ? add : [...add, 'SYS_MODULE'],
    drop: drop.length === 0 ? ['ALL'] : drop.filter((name) => !isCapability(name, 'SYS_MODULE')),
  };
}

function isCapability(name: string, wanted: string): boolean {
  return name === wanted || name === `CAP_${wanted}`;
}

function strings(value: unknown, field: string): readonly string[] {
  if (value === null || typeof value !== 'object') return [];
  const list = Object.entries(value).find(([key]) => key === field)?.[1];
  return Array.isArray(list) ? list.filter((item): item is string => typeof item === 'string') : [];
}
