import type { ImageStream } from '../../build/engines/openshift-objects.ts';
import type { KubeObject } from '../../kube/objects.ts';

/** The build argument by which a Dockerfile asks for the driver toolkit of its node's operating system. */
export const DTK_AUTO = 'DTK_AUTO';

/** What is kept of OpenShift's ImageStream `driver-toolkit`. */
export interface DriverToolkit extends KubeObject {
  /** Image by version of the operating system, as in `418.94.202501221327-0`. */
  readonly images: ReadonlyMap<string, string>;
}

export type DriverToolkitImage =
  | { readonly ok: true; readonly image: string }
  /** One sentence without a full stop: what is missing, and what to do. */
  | { readonly ok: false; readonly problem: string };

/** Each tag is called after a version of RHEL CoreOS and is an image of this release, but for `latest`. */
export function trimDriverToolkit({ metadata, spec }: ImageStream): DriverToolkit {
  const { name, namespace, uid, resourceVersion } = metadata;
  const images = (spec?.tags ?? []).flatMap((tag): [string, string][] =>
    tag.name !== 'latest' && tag.from?.kind === 'DockerImage' && tag.from.name !== undefined
      ? [[tag.name, tag.from.name]]
      : [],
  );
  return { metadata: { name, namespace, uid, resourceVersion }, images: new Map(images) };
}

/** As in `Red Hat Enterprise Linux CoreOS 418.94.202501221327-0`. */
const OS_VERSION = /\d+\.\d+\.\d+-\d+/;

/**
 * The driver toolkit for nodes that say these of themselves (`status.nodeInfo.osImage`). All of them run one kernel, so where they have
 * several versions of the operating system, any of its toolkits has that kernel's headers.
 *
 * @param toolkit undefined where the ImageStream is not there
 */
export function driverToolkitFor(toolkit: DriverToolkit | undefined, osImages: readonly string[]): DriverToolkitImage {
  const versions = [...new Set(osImages.flatMap((osImage) => OS_VERSION.exec(osImage) ?? []))].sort();
  if (versions.length === 0) {
    const [shown = 'no operating system'] = osImages.filter((osImage) => osImage !== '');
    return missing(
      `a node of this kernel says that it runs ${shown}, and the driver toolkit is for RHEL CoreOS, whose version stands there`,
    );
  }
  if (toolkit === undefined) return missing('there is no ImageStream driver-toolkit in the namespace openshift');
  const image = versions.map((version) => toolkit.images.get(version)).find((found) => found !== undefined);
  if (image !== undefined) return { ok: true, image };
  return missing(
    `ImageStream openshift/driver-toolkit has no tag ${versions.join(' and no tag ')}, which these nodes run`,
  );
}

function missing(fact: string): DriverToolkitImage {
  return { ok: false, problem: `${fact}: give build.buildArgs a ${DTK_AUTO} with the image to build in` };
}
