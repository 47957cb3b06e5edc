import { MODULES } from '../../../src/api/module.ts';
import { PODS } from '../../../src/kube/core.ts';
import { buildFixtures, pushBaseImage } from '../../harness/build-fixtures.ts';
import { BuildKubelet } from '../../harness/build-kubelet.ts';
import { eventually } from '../../harness/eventually.ts';
import { startRegistry } from '../../harness/registry-server.ts';
import { MODULE, NAMESPACE, NEW_GKE } from '../cast.ts';
import { kernelIs } from '../expectations.ts';
import type { Scene } from '../scene.ts';
import type { Step } from './step.ts';

const BUILT = 'built-here';
const NODE = 'node-10';

/** The one step whose images are real: the pipeline runs on this machine, in the place of the simulated kubelet. */
export const build: Step = {
  title: 'Images are built: the real pipeline, on this machine, in the place of the simulated kubelets',
  async tell(scene) {
    const { narrator, admin } = scene;
    const registry = await startRegistry();
    scene.onEnd(() => registry.stop());
    const base = await pushBaseImage(registry.host);
    const kubelet = new BuildKubelet(admin);
    scene.onEnd(() => kubelet.stop());
    kubelet.start();

    await narrator.expect("the sample's own image cannot be built, and status says why", () =>
      scene.until((picture) => kernelIs(picture, NEW_GKE, 'BuildFailed')),
    );
    const { status } = await admin.get(MODULES, { name: MODULE, namespace: NAMESPACE });
    narrator.quote(status?.kernels?.find(({ kernelVersion }) => kernelVersion === NEW_GKE)?.build?.message ?? '');

    const { kernel } = await buildFixtures();
    narrator.say(`${NODE} joins with the Debian kernel ${kernel}; a registry listens at ${registry.host}`);
    await scene.nodes.create({ name: NODE, kernel, labels: { 'demo.test/built': 'yes' } });
    narrator.command('kubectl apply -f -   # a Module with an inline Dockerfile');
    await admin.create(MODULES, moduleOf(registry.host, base));
    let digest: string | undefined;
    await narrator.expect(`${NODE}: built, verified, pushed, and loaded by digest`, async () => {
      digest = await untilLoaded(scene);
      return digest === undefined ? 'status names no image' : undefined;
    });
    narrator.say(`The loader runs ${digest}`);
    await narrator.fact(
      'the registry has it under a tag of its kernel',
      (await registry.tags(BUILT)).some((tag) => tag.startsWith(`1-${kernel}-`)) ? undefined : 'it has no such tag',
    );
    await scene.kubectl('delete', 'module', BUILT, '-n', NAMESPACE, '--timeout=30s');
    await narrator.expect('every pod of it has gone', () => untilNoPods(scene));
  },
};

function moduleOf(host: string, base: string) {
  return {
    metadata: { name: BUILT, namespace: NAMESPACE },
    spec: {
      selector: { 'demo.test/built': 'yes' },
      moduleLoader: {},
      kernelMappings: [
        {
          regexp: '-amd64$',
          containerImage: `${host}/${BUILT}:1`,
          build: { dockerfile: dockerfile(base), pull: { insecure: true }, push: { insecure: true } },
        },
      ],
    },
  };
}

const dockerfile = (base: string): string => `FROM ${base}
ARG KERNEL_FULL_VERSION
RUN mkdir -p /opt/lib/modules/$KERNEL_FULL_VERSION && cp /src/dummy.ko /opt/lib/modules/$KERNEL_FULL_VERSION/
`;

/** The digest that status names once the module is loaded. */
function untilLoaded({ admin, signal }: Scene): Promise<string | undefined> {
  return eventually(
    async () => {
      const { status } = await admin.get(MODULES, { name: BUILT, namespace: NAMESPACE });
      const [kernel] = status?.kernels ?? [];
      if (status?.loaded !== '1/1') throw new Error(`${kernel?.state}: ${kernel?.message ?? kernel?.build?.phase}`);
      return kernel?.build?.image;
    },
    { what: `${BUILT} to be loaded`, signal },
  );
}

async function untilNoPods({ admin, signal }: Scene): Promise<undefined> {
  await eventually(
    async () => {
      const labelSelector = `kmm.node.kubernetes.io/module.name=${BUILT}`;
      const pods = await admin.list(PODS, { namespace: NAMESPACE, labelSelector });
      if (pods.length > 0) throw new Error(`${pods.length} are there`);
    },
    { what: `the pods of ${BUILT} to go`, signal },
  );
  return undefined;
}
