import { expect, test } from 'vitest';
import { parse } from 'yaml';

import { guestFiles, HOST_ADDRESS, PAUSE_IMAGE, REGISTRY } from './guest-config.ts';

const vm1 = { name: 'vm1', address: '198.51.100.1', wire: '192.168.7.1', podNetwork: '10.244.1.0/24' };
const vm2 = { name: 'vm2', address: '198.51.100.2', wire: '192.168.7.2', podNetwork: '10.244.2.0/24' };
const guest = { ...vm1, apiServerPort: 26_443, nodes: [vm1, vm2] };
const files = guestFiles({ ...guest, software: 'debian' });

test('a guest reaches the API server where qemu shows it the host, on the port of this run', () => {
  expect(parse(files['kubeconfig'] ?? '')).toMatchObject({
    clusters: [{ cluster: { server: `https://${HOST_ADDRESS}:26443` } }],
  });
  expect(files['env']).toContain(`API_ADDRESS=${HOST_ADDRESS}:26443\n`);
});

test('a guest finds the other node and its pods on the wire between them', () => {
  expect(files['peers']).toBe('198.51.100.2 10.244.2.0/24 192.168.7.2\n');
});

test('containerd, Debian’s and the newest, pulls from the bed’s registry over plain HTTP, its pause image too', () => {
  expect(files['containerd.toml']).toContain(`sandbox_image = "${REGISTRY}/${PAUSE_IMAGE}"`);
  expect(guestFiles({ ...guest, software: 'newest' })['containerd.toml']).toContain(
    `sandbox = "${REGISTRY}/${PAUSE_IMAGE}"`,
  );
  expect(files[`certs.d/${REGISTRY}/hosts.toml`]).toContain(`server = "http://${REGISTRY}"`);
});

test('a kubelet renews its lease several times within the grace of the bed', () => {
  // A kubelet renews four times in its lease's duration. Source: k8s.io/kubernetes/pkg/kubelet, nodeLeaseRenewIntervalFraction.
  const { nodeLeaseDurationSeconds } = parse(files['kubelet.yaml'] ?? '');
  expect(nodeLeaseDurationSeconds / 4).toBeLessThanOrEqual(20 / 4);
});
