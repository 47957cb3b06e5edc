import { join } from 'node:path';

/** Where a build pod finds what it is told and given. The pod maker mounts these, the pipeline reads them. */
export interface BuildFiles {
  /** JSON of a BuildRequest. */
  readonly request: string;
  /** The Dockerfile of a ConfigMap. */
  readonly dockerfile: string;
  /** Folders that hold `.dockerconfigjson` (or the older `.dockercfg`). */
  readonly pullSecret: string;
  readonly pushSecret: string;
  /** Folder with `username` and `password`, or `token`, or `ssh-privatekey` and `known_hosts`. */
  readonly gitSecret: string;
  /** Folder whose files are certificate authorities of the Git server. */
  readonly gitCA: string;
  /** The private key and the certificate that sign. */
  readonly signKey: string;
  readonly signCert: string;
  /** Folder with one folder for each of the build's Secrets. */
  readonly buildSecrets: string;
  /** Authority of the cluster's own registry, PEM, and the token that pushes to it. */
  readonly clusterRegistryCA: string;
  readonly clusterRegistryToken: string;
  /** Folder with the site's `registries.conf`, and certificate authorities of registries as `*.crt`. */
  readonly registries: string;
}

export const BUILD_FILES_ROOT = '/run/kmm';

/** The layout below `root`. A file or folder that a request does not need is absent. */
export function buildFiles(root: string = BUILD_FILES_ROOT): BuildFiles {
  return {
    request: join(root, 'request', 'request.json'),
    dockerfile: join(root, 'dockerfile', 'dockerfile'),
    pullSecret: join(root, 'pull-secret'),
    pushSecret: join(root, 'push-secret'),
    gitSecret: join(root, 'git-secret'),
    gitCA: join(root, 'git-ca'),
    signKey: join(root, 'sign-key', 'key'),
    signCert: join(root, 'sign-cert', 'cert'),
    buildSecrets: join(root, 'build-secrets'),
    clusterRegistryCA: join(root, 'request', 'cluster-registry-ca.crt'),
    clusterRegistryToken: join(root, 'cluster-registry-token', 'token'),
    registries: join(root, 'registries'),
  };
}
