/** The programs a control plane needs, and the versions that hack/control-plane/<module>/go.mod pins. */

export const BINARIES = [
  'kube-apiserver',
  'kube-controller-manager',
  'kube-scheduler',
  'kubectl',
  'etcd',
  'kwok',
  'kwokctl',
] as const;

export type Binary = (typeof BINARIES)[number];

/** Absolute path of each program. */
export type Binaries = Readonly<Record<Binary, string>>;
