/** Worlds for the tests of what the demo shows and records. */
import {
  KERNEL_LABEL,
  loadLabel,
  MODULE_LOADER_ROLE,
  ROLE_LABEL,
  type Role,
  readyLabel,
} from '../../src/api/labels.ts';
import type { Module } from '../../src/api/module.ts';
import type { Node, Pod } from '../../src/kube/core.ts';
import { MODULE, NAMESPACE } from './cast.ts';
import { keyOf, type World } from './world.ts';

const NAME = { namespace: NAMESPACE, name: MODULE };
const SELECTED = 'feature.node.kubernetes.io/cpu-cpuid.VMX';

export interface NodeFacts {
  readonly kernel?: string;
  readonly selected?: boolean;
  readonly up?: boolean;
  readonly cordoned?: boolean;
  /** `loaded`: both labels of the Module; `placed`: the load label alone. */
  readonly module?: 'placed' | 'loaded';
}

export function aNode(name: string, facts: NodeFacts = {}): Node {
  const { kernel = '5.4.0-1054-gke', selected = true, up = true, cordoned = false, module } = facts;
  return {
    metadata: {
      name,
      labels: {
        [KERNEL_LABEL]: kernel,
        ...(selected ? { [SELECTED]: 'true' } : {}),
        ...(module === undefined ? {} : { [loadLabel(NAME)]: 'key' }),
        ...(module === 'loaded' ? { [readyLabel(NAME)]: '' } : {}),
      },
    },
    spec: { unschedulable: cordoned },
    status: {
      conditions: [{ type: 'Ready', status: up ? 'True' : 'False' }],
      nodeInfo: { kernelVersion: kernel, bootID: 'boot', architecture: 'amd64' },
    },
  };
}

export interface PodFacts {
  readonly name?: string;
  readonly image?: string;
  readonly state?: 'starting' | 'running' | 'failing' | 'stopping';
}

function aPod(role: Role, node: string, { name, image = 'registry/kmod:1', state = 'running' }: PodFacts = {}): Pod {
  const container = { name: 'c', ready: state === 'running', restartCount: 0 };
  return {
    metadata: {
      name: name ?? `${role}-${node}`,
      namespace: NAMESPACE,
      uid: `uid-${name ?? `${role}-${node}`}`,
      labels: { [ROLE_LABEL]: role },
      ...(state === 'stopping' ? { deletionTimestamp: '2026-01-01T00:00:00Z' } : {}),
    },
    spec: { nodeName: node, containers: [{ name: 'c', image }] },
    status: {
      containerStatuses: [
        state === 'failing' ? { ...container, state: { waiting: { reason: 'ImagePullBackOff' } } } : container,
      ],
    },
  };
}

export const aLoader = (node: string, facts?: PodFacts): Pod => aPod(MODULE_LOADER_ROLE, node, facts);
export const aPlugin = (node: string, facts?: PodFacts): Pod => aPod('device-plugin', node, facts);

export function theModule(status?: Module['status']): Module {
  return {
    metadata: { name: MODULE, namespace: NAMESPACE },
    spec: { selector: { [SELECTED]: 'true' } },
    ...(status === undefined ? {} : { status }),
  };
}

export function aWorld(parts: {
  readonly nodes?: readonly Node[];
  readonly pods?: readonly Pod[];
  readonly module?: Module;
}): World {
  return {
    nodes: new Map((parts.nodes ?? []).map((node) => [keyOf(node), node])),
    pods: new Map((parts.pods ?? []).map((pod) => [keyOf(pod), pod])),
    daemonSets: new Map(),
    modules: new Map(parts.module === undefined ? [] : [[keyOf(parts.module), parts.module]]),
  };
}
