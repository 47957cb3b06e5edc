/** Who plays in the demo: the nodes, their kernels, and what config/samples/module-sample.yaml maps them to. */
import type { SimulatedNode } from '../harness/nodes.ts';

/** The sample has no namespace, so kubectl puts it here. */
export const NAMESPACE = 'default';
export const MODULE = 'module-sample';
/** The sample mounts it; its content does not matter. */
export const CONFIG_MAP = 'some-configmap';

/** A literal mapping with an image. */
export const FEDORA = '5.16.11-200.fc35.x86_64';
/** A literal mapping with an image; it stands before the regexp that would match too. */
export const GKE = '5.4.0-1054-gke';
/** Only the sample's regexp matches, and its image would have to be built. */
export const NEW_GKE = '5.15.0-1049-gke';
/** No mapping matches. */
export const DEBIAN = '6.1.0-18-amd64';

const REPOSITORY = 'quay.io/vendor/module-sample';
export const FEDORA_IMAGE = `${REPOSITORY}:fedora-${FEDORA}`;
export const GKE_IMAGE = `${REPOSITORY}:ubuntu-${GKE}`;
/** What the Fedora image is changed to in the middle of the story. */
export const FEDORA_IMAGE_V2 = `${FEDORA_IMAGE}-v2`;

const SELECTED = { 'feature.node.kubernetes.io/cpu-cpuid.VMX': 'true' };

export const NODES_OF_THE_DEMO: readonly SimulatedNode[] = [
  { name: 'node-1', kernel: FEDORA, labels: SELECTED },
  { name: 'node-2', kernel: FEDORA, labels: SELECTED },
  { name: 'node-3', kernel: FEDORA, labels: SELECTED },
  { name: 'node-4', kernel: GKE, labels: SELECTED },
  { name: 'node-5', kernel: GKE, labels: SELECTED },
  { name: 'node-6', kernel: GKE, labels: SELECTED },
  { name: 'node-7', kernel: NEW_GKE, labels: SELECTED },
  { name: 'node-8', kernel: DEBIAN, labels: SELECTED },
  { name: 'node-9', kernel: FEDORA },
];
