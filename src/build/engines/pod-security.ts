/** How a build pod gets what buildah needs. Neither way is privileged, and neither has a service-account token. */
export type BuildIsolation =
  /** A user namespace of the pod's own: root in it is nobody on the host, so buildah may have what it wants there. */
  | { readonly kind: 'user-namespace' }
  /** The host's user namespace with three capabilities; buildah makes a user namespace itself, which default seccomp forbids. */
  | { readonly kind: 'capabilities'; readonly localhostSeccompProfile?: string };

interface PodSecurity {
  readonly hostUsers?: false;
  readonly container: Readonly<Record<string, unknown>>;
}

/** What buildah's chroot isolation uses of root in a user namespace of the pod's own; SYS_ADMIN there mounts, and reaches nothing outside. */
export const IN_USER_NAMESPACE = [
  'CHOWN',
  'DAC_OVERRIDE',
  'FOWNER',
  'FSETID',
  'KILL',
  'NET_BIND_SERVICE',
  'SETFCAP',
  'SETGID',
  'SETPCAP',
  'SETUID',
  'SYS_ADMIN',
  'SYS_CHROOT',
];

/** What newuidmap's work takes: writing the maps of a user namespace that buildah unshares. */
export const IN_HOST_NAMESPACE = ['SETFCAP', 'SETGID', 'SETUID'];

export function podSecurity(isolation: BuildIsolation): PodSecurity {
  const shared = { runAsUser: 0, runAsGroup: 0, privileged: false, readOnlyRootFilesystem: true };
  if (isolation.kind === 'user-namespace') {
    return {
      hostUsers: false,
      container: {
        ...shared,
        capabilities: { drop: ['ALL'], add: IN_USER_NAMESPACE },
        seccompProfile: { type: 'RuntimeDefault' },
      },
    };
  }
  const { localhostSeccompProfile: profile } = isolation;
  return {
    container: {
      ...shared,
      allowPrivilegeEscalation: false,
      capabilities: { drop: ['ALL'], add: IN_HOST_NAMESPACE },
      seccompProfile: profile === undefined ? { type: 'Unconfined' } : { type: 'Localhost', localhostProfile: profile },
    },
  };
}
