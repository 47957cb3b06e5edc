/** What a kubelet and containerd make of a container's securityContext: the configuration of an OCI runtime. */
import { readFileSync } from 'node:fs';

import { isRecord } from '../../src/kernel/json-record.ts';
import type { Container, PodSpec } from '../../src/kube/core.ts';

export interface ContainerImage {
  /** Folder with the image's files. */
  readonly root: string;
  readonly entrypoint: readonly string[];
  readonly command: readonly string[];
  readonly env: readonly string[];
  /** `UID:GID` */
  readonly user: string;
}

export interface BindMount {
  readonly source: string;
  readonly destination: string;
  readonly readOnly: boolean;
}

/** First id on the host, of 65,536, that a pod with `hostUsers: false` gets. */
export const FIRST_ID = 100_000;

/** Source: containerd, oci.defaultUnixCaps: what a container has that drops nothing. */
const DEFAULT_CAPABILITIES =
  'CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE SYS_CHROOT KILL AUDIT_WRITE';

/** Source: containerd, oci/spec.go, populateDefaultUnixSpec. A /proc with holes is one that no inner namespace may mount anew. */
const MASKED_PATHS =
  '/proc/acpi /proc/asound /proc/kcore /proc/keys /proc/latency_stats /proc/timer_list /proc/timer_stats /proc/sched_debug /sys/firmware /proc/scsi';
const READ_ONLY_PATHS = '/proc/bus /proc/fs /proc/irq /proc/sys /proc/sysrq-trigger';

/**
 * Source of the form: github.com/opencontainers/runtime-spec. The network is the host's, where the tests' servers are; all else is as in
 * a pod. RuntimeDefault is the profile that the container tools bring, which is not containerd's to the letter.
 */
export function runtimeSpec(
  pod: PodSpec,
  container: Container,
  image: ContainerImage,
  mounts: readonly BindMount[],
): object {
  const security = { ...pod.securityContext, ...container.securityContext };
  const capabilities = capabilitiesOf(security.capabilities);
  const [imageUser = 0, imageGroup = 0] = image.user.split(':').map(Number);
  const args = Array.isArray(container.args) ? container.args : image.command;
  const inUserNamespace = pod.hostUsers === false;
  const ids = [{ containerID: 0, hostID: FIRST_ID, size: 65_536 }];
  return {
    ociVersion: '1.0.2',
    process: {
      terminal: false,
      user: { uid: security.runAsUser ?? imageUser, gid: security.runAsGroup ?? imageGroup },
      args: [...image.entrypoint, ...args],
      env: image.env,
      cwd: '/',
      capabilities: { bounding: capabilities, effective: capabilities, permitted: capabilities },
      noNewPrivileges: security.allowPrivilegeEscalation === false,
    },
    root: { path: image.root, readonly: security.readOnlyRootFilesystem === true },
    hostname: 'pod',
    mounts: [
      { destination: '/proc', type: 'proc', source: 'proc', options: ['nosuid', 'noexec', 'nodev'] },
      {
        destination: '/dev',
        type: 'tmpfs',
        source: 'tmpfs',
        options: ['nosuid', 'strictatime', 'mode=755', 'size=64k'],
      },
      { destination: '/dev/pts', type: 'devpts', source: 'devpts', options: ['nosuid', 'noexec', 'newinstance'] },
      { destination: '/dev/shm', type: 'tmpfs', source: 'shm', options: ['nosuid', 'noexec', 'nodev', 'size=64m'] },
      // A new one belongs to whoever has the network, and that is the host.
      { destination: '/sys', type: 'bind', source: '/sys', options: ['rbind', 'nosuid', 'noexec', 'nodev', 'ro'] },
      ...mounts.map(({ source, destination, readOnly }) => ({
        destination,
        type: 'bind',
        source,
        options: ['rbind', 'rprivate', readOnly ? 'ro' : 'rw'],
      })),
    ],
    linux: {
      namespaces: ['pid', 'ipc', 'uts', 'mount', ...(inUserNamespace ? ['user'] : [])].map((type) => ({ type })),
      ...(inUserNamespace ? { uidMappings: ids, gidMappings: ids } : {}),
      maskedPaths: MASKED_PATHS.split(' '),
      readonlyPaths: READ_ONLY_PATHS.split(' '),
      ...seccompOf(security.seccompProfile, capabilities),
    },
  };
}

function capabilitiesOf(wanted: unknown): readonly string[] {
  const listOf = (value: unknown): readonly string[] =>
    Array.isArray(value) ? value.filter((each) => typeof each === 'string') : [];
  const { drop, add } = isRecord(wanted) ? wanted : {};
  const dropped = listOf(drop);
  const kept = dropped.includes('ALL') ? [] : DEFAULT_CAPABILITIES.split(' ').filter((name) => !dropped.includes(name));
  return [...new Set([...kept, ...listOf(add)])].map((name) => `CAP_${name}`);
}

interface SeccompRule {
  readonly names: readonly string[];
  readonly action: string;
  readonly args: readonly unknown[] | null;
  readonly errnoRet?: number;
  readonly includes: SeccompCondition;
  readonly excludes: SeccompCondition;
}

interface SeccompCondition {
  readonly caps?: readonly string[];
  readonly arches?: readonly string[];
}

function seccompOf(wanted: unknown, capabilities: readonly string[]): object {
  if (!isRecord(wanted) || wanted.type !== 'RuntimeDefault') return {};
  const profile: { defaultAction: string; defaultErrnoRet: number; syscalls: readonly SeccompRule[] } = JSON.parse(
    readFileSync('/usr/share/containers/seccomp.json', 'utf8'),
  );
  const holds = ({ caps, arches }: SeccompCondition): boolean =>
    (caps ?? []).every((name) => capabilities.includes(name)) && (arches ?? ['amd64']).includes('amd64');
  const isEmpty = ({ caps, arches }: SeccompCondition): boolean => caps === undefined && arches === undefined;
  return {
    seccomp: {
      defaultAction: profile.defaultAction,
      defaultErrnoRet: profile.defaultErrnoRet,
      architectures: ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86', 'SCMP_ARCH_X32'],
      syscalls: profile.syscalls
        .filter(({ includes, excludes }) => holds(includes) && (isEmpty(excludes) || !holds(excludes)))
        .map(({ names, action, args, errnoRet }) => ({
          names,
          action,
          ...(args === null || args.length === 0 ? {} : { args }),
          ...(errnoRet === undefined ? {} : { errnoRet }),
        })),
    },
  };
}
