import { expect, test } from 'vitest';
import { parse } from 'yaml';

import { guestFiles, HOST_ADDRESS, PAUSE_IMAGE, REGISTRY } from './guest-config.ts';

const files = guestFiles({
  name: 'vm1',
  address: '198.51.100.1',
  podNetwork: '10.244.1.0/24',
  apiServerPort: 26_443,
});

test('a guest reaches the API server where qemu shows it the host, on the port of this run', () => {
  expect(parse(files['kubeconfig'] ?? '')).toMatchObject({
    clusters: [{ cluster: { server: `https://${HOST_ADDRESS}:26443` } }],
  });
  expect(files['env']).toContain(`API_ADDRESS=${HOST_ADDRESS}:26443\n`);
});

test('containerd pulls from the bed’s registry over plain HTTP, its pause image too', () => {
  expect(files['containerd.toml']).toContain(`sandbox_image = "${PAUSE_IMAGE}"`);
  expect(files[`certs.d/${REGISTRY}/hosts.toml`]).toContain(`server = "http://${REGISTRY}"`);
});

test('a kubelet renews its lease several times within the grace of the bed', () => {
  // A kubelet renews four times in its lease's duration. Source: k8s.io/kubernetes/pkg/kubelet, nodeLeaseRenewIntervalFraction.
  const { nodeLeaseDurationSeconds } = parse(files['kubelet.yaml'] ?? '');
  expect(nodeLeaseDurationSeconds / 4).toBeLessThanOrEqual(20 / 4);
});
