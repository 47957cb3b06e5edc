/** What admission lets through, on the real API server: no false alarm, and no rule that costs too much. */
import { describe, expect, test } from 'vitest';

import { TEMPLATE_VARIABLES } from '../../../src/kernel/template.ts';
import { useCluster } from '../../harness/cluster.ts';
import { aModule, EVERY_KERNEL, installCrd } from '../../harness/modules.ts';
import { build, image, mapping, maxUnavailable, moduleWith, selector, toleration, volume } from './module-with.ts';
import { tryModule } from './try-module.ts';

const cluster = await useCluster();
await installCrd(cluster);
const namespace = await cluster.freshNamespace('admitted');

const HUGE = 'x'.repeat(1000);

const ADMITTED: readonly { readonly what: string; readonly module: object }[] = [
  { what: 'an empty selector', module: selector({}) },
  { what: 'an empty selector value', module: selector({ 'node-role.kubernetes.io/worker': '' }) },
  {
    what: 'a selector key with a prefix and 63 characters',
    module: selector({ [`a.b-c/${'x'.repeat(63)}`]: 'x'.repeat(63) }),
  },
  { what: 'a variable with a default', module: image('quay.io/${MOD_NAME:-kmod}:${KERNEL_FULL_VERSION:-none}') },
  { what: 'a variable with an empty default', module: image('quay.io/kmod:v${ARCH:-}') },
  { what: 'every variable', module: image(everyVariable()) },
  { what: 'a $ that begins no variable', module: image('quay.io/$kmod$:$KERNEL_VERSION$') },
  { what: 'a $ before a variable', module: image('quay.io/kmod:$${KERNEL_X}') },
  { what: 'a digest', module: image(`quay.io/kmod@sha256:${'0'.repeat(64)}`) },
  {
    what: 'a literal with characters that no label holds',
    module: mapping({ regexp: undefined, literal: '6.1.0+é~ 1' }),
  },
  { what: 'a regexp that backtracks elsewhere', module: mapping({ regexp: '^(a+)+$' }) },
  { what: 'two mappings that are equal', module: moduleWith({ kernelMappings: [EVERY_KERNEL, EVERY_KERNEL] }) },
  { what: 'every taint tolerated', module: toleration({ operator: 'Exists' }) },
  {
    what: 'a toleration whose operator is left out',
    module: toleration({ key: 'a', value: 'b', effect: 'NoExecute' }),
  },
  { what: 'a toleration for a time', module: toleration({ key: 'a/b', effect: 'NoExecute', tolerationSeconds: 60 }) },
  ...[1, 100, '1%', '25%', '100%'].map((value) => ({
    what: `maxUnavailable ${JSON.stringify(value)}`,
    module: maxUnavailable(value),
  })),
  { what: 'an upgrade policy with nothing in it', module: moduleWith({ upgradePolicy: {} }) },
  {
    what: 'mounts that only look reserved',
    module: moduleWith({
      additionalVolumes: [volume],
      moduleLoader: {
        volumeMounts: [
          '/lib/modules-extra',
          '/opt/lib/modules',
          '/lib/firmware',
          '/var/lib/kubelet/device-plugins',
        ].map((mountPath) => ({ name: 'firmware', mountPath })),
      },
      devicePlugin: {
        image: 'i',
        volumeMounts: ['/lib/modules', '/var/lib/kubelet/device-plugins-2', '/var/lib/kubelet'].map((mountPath) => ({
          name: 'firmware',
          mountPath,
        })),
      },
    }),
  },
  ...[
    { dockerfile: 'FROM x' },
    { dockerfileConfigMap: { name: 'd' } },
    { git: { url: 'https://example.com/x.git' } },
  ].map((source) => ({
    what: `a build from ${Object.keys(source).join()}`,
    module: build({ ...source, timeout: '1h30m' }),
  })),
  {
    what: '256 mappings, 64 volumes and all their mounts, as long as they may be',
    module: moduleWith({
      kernelMappings: Array.from({ length: 256 }, (_, index) => ({
        regexp: `^${index}${HUGE}$`,
        containerImage: `${HUGE}:\${KERNEL_X}`,
        build: { dockerfile: HUGE, tolerations: [{ key: 'a', operator: 'Exists' }] },
      })),
      additionalVolumes: Array.from({ length: 64 }, (_, index) => ({ name: `v${index}`, emptyDir: {} })),
      moduleLoader: { volumeMounts: manyMounts() },
      devicePlugin: { image: 'i', volumeMounts: manyMounts() },
    }),
  },
];

function everyVariable(): string {
  return `quay.io/kmod:${TEMPLATE_VARIABLES.map((name) => `\${${name}}`).join('-')}`;
}

/** Each names the last volume: the longest way through the rule that looks for it. */
function manyMounts(): readonly object[] {
  return Array.from({ length: 64 }, (_, index) => ({ name: 'v63', mountPath: `/${index}/${HUGE}` }));
}

describe('a Module', () => {
  test.each(ADMITTED)('with $what is admitted', async ({ module }) => {
    expect(await tryModule(cluster, namespace, module)).toEqual({ code: 0, stderr: '' });
  });

  test('of 63 characters in a namespace of 63 is admitted', async () => {
    const long = await cluster.freshNamespace('n'.repeat(56));
    expect(long).toHaveLength(63);
    await cluster.controlPlane.kubectl(['create', '-f', '-'], {
      input: JSON.stringify(aModule('m'.repeat(63)).inNamespace(long).build()),
    });
  });

  test('with an unknown field is refused by kubectl, which names the field', async () => {
    const { code, stderr } = await tryModule(cluster, namespace, moduleWith({ moduleLoader: { imagee: 'x' } }));
    expect(stderr).toContain('strict decoding error: unknown field "spec.moduleLoader.imagee"');
    expect(code).toBe(1);
  });

  test("with an unknown field gets the server's warning where validation is lenient", async () => {
    const { code, stderr } = await tryModule(cluster, namespace, moduleWith({ kernelMapings: [] }), '--validate=warn');
    expect({ code, stderr }).toEqual({ code: 0, stderr: 'Warning: unknown field "spec.kernelMapings"' });
  });
});
