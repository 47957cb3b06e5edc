/** What a node is configured with: the files of the tar that its init unpacks to /etc/bed. Pure texts. */
import { REAL_KUBELET_LABEL } from '../../harness/stages.ts';
import type { Software } from './software.ts';

/** Where a guest finds the host: qemu's user network. */
export const HOST_ADDRESS = '10.0.2.2';
/** The registry as hosts and guests call it: in the bed's network, the host's end is reachable under this address on both sides. */
export const REGISTRY = `${HOST_ADDRESS}:5000`;
/** Another one, which lets nobody in without a credential that no node has. */
export const LOCKED_REGISTRY = `${HOST_ADDRESS}:5001`;
/** The API server's Service; kube-apiserver gives itself the first address of its Service range. */
export const SERVICE_IP = '10.0.0.1';
/** All addresses under which guests and their pods call the API server. */
export const SERVER_ADDRESSES = [HOST_ADDRESS, SERVICE_IP];
/** Of the cluster's DNS, where kubelets say it is; the guests take it to port 53 of the host. */
const DNS_IP = '10.0.0.10';
/** In the bed's registry. */
export const PAUSE_IMAGE = 'pause:1';

/** All pods of the bed. */
const POD_NETWORKS = '10.244.0.0/16';

/** Where a node is to be found. */
export interface NodePlace {
  readonly name: string;
  /** The node's address. */
  readonly address: string;
  /** On the wire between the nodes. */
  readonly wire: string;
  /** Of its pods, as `10.244.1.0/24`. */
  readonly podNetwork: string;
}

export interface GuestIdentity extends NodePlace {
  readonly software: Software;
  readonly apiServerPort: number;
  /** All nodes, this one too. */
  readonly nodes: readonly NodePlace[];
}

/** Texts by their paths under /etc/bed; certificates and keys lie beside them. */
export function guestFiles(guest: GuestIdentity): Readonly<Record<string, string>> {
  return {
    env: environment(guest),
    peers: peers(guest),
    kubeconfig: kubeconfig(guest, 'client'),
    'kube-proxy.kubeconfig': kubeconfig(guest, 'kube-proxy'),
    'kube-proxy.yaml': JSON.stringify(kubeProxyConfiguration(guest)),
    'kubelet.yaml': JSON.stringify(kubeletConfiguration()),
    'containerd.toml': CONTAINERD[guest.software],
    [`certs.d/${REGISTRY}/hosts.toml`]: hosts(REGISTRY),
    [`certs.d/${LOCKED_REGISTRY}/hosts.toml`]: hosts(LOCKED_REGISTRY),
    'cni/10-bridge.conflist': JSON.stringify(bridge(guest.podNetwork)),
  };
}

function environment({ name, address, wire, apiServerPort }: GuestIdentity): string {
  return [
    `NODE=${name}`,
    `NODE_IP=${address}`,
    `NODE_LABELS=${REAL_KUBELET_LABEL}=`,
    `WIRE_IP=${wire}`,
    `SERVICE_IP=${SERVICE_IP}`,
    `DNS_IP=${DNS_IP}`,
    `HOST=${HOST_ADDRESS}`,
    `API_ADDRESS=${HOST_ADDRESS}:${apiServerPort}`,
    '',
  ].join('\n');
}

/** A line for each other node: its address, its pods, and its end of the wire. */
function peers({ name, nodes }: GuestIdentity): string {
  const others = nodes.filter((node) => node.name !== name);
  return others.map(({ address, podNetwork, wire }) => `${address} ${podNetwork} ${wire}\n`).join('');
}

/** @param credential name of the files of certificate and key */
function kubeconfig({ apiServerPort }: GuestIdentity, credential: string): string {
  const files = `/etc/bed/${credential}`;
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'c',
    clusters: [
      {
        name: 'c',
        cluster: { server: `https://${HOST_ADDRESS}:${apiServerPort}`, 'certificate-authority': '/etc/bed/ca.crt' },
      },
    ],
    users: [{ name: 'u', user: { 'client-certificate': `${files}.crt`, 'client-key': `${files}.key` } }],
    contexts: [{ name: 'c', context: { cluster: 'c', user: 'u' } }],
  });
}

function kubeletConfiguration() {
  return {
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: true },
      x509: { clientCAFile: '/etc/bed/ca.crt' },
    },
    authorization: { mode: 'Webhook' },
    tlsCertFile: '/etc/bed/server.crt',
    tlsPrivateKeyFile: '/etc/bed/server.key',
    cgroupDriver: 'cgroupfs',
    containerRuntimeEndpoint: 'unix:///run/containerd/containerd.sock',
    failSwapOn: false,
    // Only a bed that builds has one; without an address the kubelet warns of every pod.
    clusterDNS: [DNS_IP],
    clusterDomain: 'cluster.local',
    healthzPort: 0,
    serializeImagePulls: false,
    // The bed calls a node NotReady after 20 s of silence; under emulation on a busy machine every beat may come late.
    nodeLeaseDurationSeconds: 16,
    // Of a kube-proxy for iptables, which there is not; looking after them takes seconds under emulation.
    makeIPTablesUtilChains: false,
    evictionHard: { 'memory.available': '50Mi' },
    imageGCHighThresholdPercent: 100,
    imageGCLowThresholdPercent: 99,
  };
}

function kubeProxyConfiguration({ name }: GuestIdentity) {
  return {
    apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
    kind: 'KubeProxyConfiguration',
    clientConnection: { kubeconfig: '/etc/bed/kube-proxy.kubeconfig' },
    hostnameOverride: name,
    mode: 'nftables',
    clusterCIDR: POD_NETWORKS,
    // It would raise limits that the guest's kernel has no need of.
    conntrack: { maxPerCore: 0 },
    healthzBindAddress: '127.0.0.1:10256',
    metricsBindAddress: '127.0.0.1:10249',
  };
}

/**
 * Configuration of Debian's containerd 1.6, and of 2. The latter asks the shim of each container for its figures every second, which is a
 * twentieth of an emulated processor for each; nobody reads them.
 */
const CONTAINERD: Readonly<Record<Software, string>> = {
  debian: `version = 2
[plugins."io.containerd.grpc.v1.cri"]
  stats_collect_period = 600
  sandbox_image = "${REGISTRY}/${PAUSE_IMAGE}"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "/etc/bed/certs.d"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "/etc/bed/cni"
`,
  newest: `version = 3
[plugins."io.containerd.cri.v1.runtime"]
  stats_collect_period = "10m"
[plugins."io.containerd.cri.v1.images"]
  stats_collect_period = 600
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "${REGISTRY}/${PAUSE_IMAGE}"
[plugins."io.containerd.cri.v1.images".registry]
  config_path = "/etc/bed/certs.d"
[plugins."io.containerd.cri.v1.runtime".cni]
  bin_dirs = ["/usr/lib/cni"]
  conf_dir = "/etc/bed/cni"
`,
};

/** Plain HTTP. */
function hosts(registry: string): string {
  return `server = "http://${registry}"
[host."http://${registry}"]
  capabilities = ["pull", "resolve"]
`;
}

/** As little as gets pods an address: each plugin is a program that runs seconds under emulation. */
function bridge(subnet: string) {
  const ipam = { type: 'host-local', ranges: [[{ subnet }]], routes: [{ dst: '0.0.0.0/0' }] };
  const plugin = { type: 'bridge', bridge: 'cni0', isGateway: true, hairpinMode: true, ipam };
  return { cniVersion: '1.0.0', name: 'bed', plugins: [plugin] };
}
