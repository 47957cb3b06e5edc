import { BUILD_CONFIGS, type Build, type BuildConfig } from '../../src/build/engines/openshift-objects.ts';
import { apiVersionOf } from '../../src/kube/resources.ts';

/**
 * The first Build of a BuildConfig, as OpenShift makes it: the BuildConfig's labels and one more, none of its annotations, and the
 * BuildConfig as its owner. Source: github.com/openshift/openshift-apiserver, pkg/build/apiserver/buildgenerator/generator.go.
 */
export function buildOf({ metadata, spec }: BuildConfig): Build {
  const { name = '', namespace = '', uid = '', labels } = metadata;
  const { source, strategy, output, resources, completionDeadlineSeconds, nodeSelector, mountTrustedCA } = spec;
  return {
    metadata: {
      name: `${name}-1`,
      namespace,
      labels: { ...labels, 'openshift.io/build-config.name': name, 'openshift.io/build.start-policy': 'Serial' },
      annotations: { 'openshift.io/build-config.name': name, 'openshift.io/build.number': '1' },
      ownerReferences: [
        { apiVersion: apiVersionOf(BUILD_CONFIGS), kind: BUILD_CONFIGS.kind, name, uid, controller: true },
      ],
    },
    spec: {
      source,
      strategy,
      output,
      completionDeadlineSeconds,
      nodeSelector,
      mountTrustedCA,
      ...(resources === undefined ? {} : { resources }),
    },
    status: { phase: 'New', outputDockerImageReference: output.to.name },
  };
}

/** What the server adds to an object that is created. */
export function created<T extends Build | BuildConfig>(object: T, uid: string): T {
  return { ...object, metadata: { ...object.metadata, uid, creationTimestamp: '2026-03-01T12:00:00Z' } };
}
