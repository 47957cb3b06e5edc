/** The bed's network: a namespace of its own, out of which nothing reaches. */
import { networkInterfaces } from 'node:os';

import { runOrThrow } from '../../harness/run.ts';
import { HOST_ADDRESS, type NodePlace } from './guest-config.ts';

/** Nodes' addresses; no address of the bed exists outside of it. */
const NODE_NETWORK = '198.51.100';

/** Where a node is to be found, from the first on. */
export function nodePlace(name: string, number: number): NodePlace {
  return {
    name,
    address: `${NODE_NETWORK}.${number}`,
    wire: `192.168.7.${number}`,
    podNetwork: `10.244.${number}.0/24`,
  };
}

/**
 * Lays out the network of this process's namespace, which has to be a fresh one (`unshare --net`).
 *
 * - A veth pair, both ends here, is there for the default route without which kube-apiserver does not start.
 * - Node addresses are local, and connections to them come from 127.0.0.1: qemu shows its guest those, and no others, as coming from its
 *   host, and kubelets answer there.
 * - The address under which guests know the host is the host's here too: an image has one reference on both sides.
 *
 * @throws Error in a namespace that is in use
 */
export async function layOutNetwork(): Promise<void> {
  // Interfaces that are up; in a fresh namespace not even loopback is.
  if (Object.keys(networkInterfaces()).length > 0) {
    throw new Error('the bed wants a network namespace of its own: start it with `make e2e`');
  }
  const commands = [
    'link set lo up',
    'link add bed0 type veth peer name bed1',
    'addr add 192.0.2.1/24 dev bed0',
    'link set bed0 up',
    'link set bed1 up',
    'route add default via 192.0.2.2 dev bed0',
    `route add local ${NODE_NETWORK}.0/24 dev lo src 127.0.0.1`,
    `route add local ${HOST_ADDRESS}/32 dev lo`,
  ];
  for (const command of commands) await runOrThrow('ip', command.split(' '));
}
