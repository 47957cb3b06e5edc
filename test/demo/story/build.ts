import { MODULES } from '../../../src/api/module.ts';
import { REQUEST_ANNOTATION } from '../../../src/build/engines/pod.ts';
import { type BuildRequest, parseBuildRequest } from '../../../src/build/pipeline/request.ts';
import { registryOf } from '../../../src/build/pipeline/tags.ts';
import { PODS } from '../../../src/kube/core.ts';
import { BuildKubelet } from '../../harness/build-kubelet.ts';
import { BuildPods } from '../../harness/build-pods.ts';
import { eventually } from '../../harness/eventually.ts';
import { moduleDockerfile } from '../../harness/module-dockerfile.ts';
import { startRegistry } from '../../harness/registry-server.ts';
import { pushToolchain } from '../../harness/toolchain.ts';
import { MODULE, NAMESPACE, NEW_GKE } from '../cast.ts';
import { kernelIs } from '../expectations.ts';
import type { Scene } from '../scene.ts';
import type { Step } from './step.ts';

const BUILT = 'built-here';
const NODES = ['node-10', 'node-11'] as const;

/** The one step whose images are real: the pipeline runs on this machine, in the place of the simulated kubelet. */
export const build: Step = {
  title: 'Images are built: the real pipeline, on this machine, in the place of the simulated kubelets',
  async tell(scene) {
    const { narrator, admin } = scene;
    if (process.getuid?.() !== 0) {
      narrator.say('Left out: buildah is used as root here, as in a build pod');
      return;
    }
    const registry = await startRegistry();
    scene.onEnd(() => registry.stop());
    const images = await pushToolchain(registry.host, scene.signal);
    const kubelet = new BuildKubelet(admin);
    scene.onEnd(() => kubelet.stop());
    kubelet.start();

    const schema = await scene.kubectl('explain', 'module.spec.kernelMappings.build');
    const fields = [...schema.matchAll(/^ {2}(\w+)\t/gm)].map(([, field]) => field);
    narrator.quote(fields.join(' '));
    await narrator.fact(
      'the API server explains what a mapping may say of its build',
      fields.includes('dockerfile') && fields.includes('git') ? undefined : schema,
    );
    const request = await requestOf(scene);
    narrator.say('What the operator asks of the build of the sample, in an annotation of its pod:');
    narrator.quote(JSON.stringify(request));
    await narrator.fact(
      "the request has the sample's image and Dockerfile, and the nodes' kernel",
      request.kernel === NEW_GKE && request.source.kind === 'inline' ? undefined : JSON.stringify(request),
    );
    await narrator.expect("the sample's own image cannot be built, and status says why", () =>
      scene.until((picture) => kernelIs(picture, NEW_GKE, 'BuildFailed')),
    );
    const { status } = await admin.get(MODULES, { name: MODULE, namespace: NAMESPACE });
    const message = status?.kernels?.find(({ kernelVersion }) => kernelVersion === NEW_GKE)?.build?.message ?? '';
    narrator.quote(message);
    // Whether it can be reached or not: nobody here may push to that one.
    await narrator.fact(
      `it names the step that failed and the registry, ${registryOf(request.image)}`,
      message.startsWith('check: ') && message.includes(registryOf(request.image)) ? undefined : message,
    );

    narrator.say(
      `A registry listens at ${registry.host}. It has an image with gcc, make and the headers of two kernels`,
    );
    for (const [index, kernel] of images.kernels.entries()) {
      narrator.say(`${NODES[index]} joins with the Debian kernel ${kernel}`);
      await scene.nodes.create({ name: NODES[index] ?? '', kernel, labels: { 'demo.test/built': 'yes' } });
    }
    narrator.command('kubectl apply -f -   # a Module with an inline Dockerfile that compiles hello.c');
    await admin.create(MODULES, moduleOf(registry.host, await moduleDockerfile(images)));
    const digests: string[] = [];
    await narrator.expect('for both kernels: compiled, verified, pushed, and loaded by digest', async () => {
      digests.push(...(await untilLoaded(scene)));
      return digests.length === 2 ? undefined : `status names ${digests.length} images`;
    });
    for (const digest of digests) narrator.say(`A loader runs ${digest}`);
    const tags = await registry.tags(BUILT);
    for (const kernel of images.kernels) {
      await narrator.fact(
        `the registry has the image for ${kernel} under a tag of that kernel`,
        tags.some((tag) => tag.startsWith(`1-${kernel}-`)) ? undefined : 'it has no such tag',
      );
    }
    await scene.kubectl('delete', 'module', BUILT, '-n', NAMESPACE, '--timeout=30s');
    await narrator.expect('every pod of it has gone', () => untilNoPods(scene));
  },
};

/** Of the sample's build for the kernel that has no image. */
function requestOf({ admin, signal }: Scene): Promise<BuildRequest> {
  return eventually(
    async () => {
      const pods = await new BuildPods(admin).list({ namespace: NAMESPACE, name: MODULE });
      const requests = pods.map(({ metadata }) => parseBuildRequest(metadata.annotations?.[REQUEST_ANNOTATION] ?? ''));
      const found = requests.find(({ kernel }) => kernel === NEW_GKE);
      if (found === undefined) throw new Error(`builds are asked for ${requests.length} other kernels`);
      return found;
    },
    { what: `a build of ${MODULE} for ${NEW_GKE}`, signal },
  );
}

function moduleOf(host: string, dockerfile: string) {
  return {
    metadata: { name: BUILT, namespace: NAMESPACE },
    spec: {
      selector: { 'demo.test/built': 'yes' },
      moduleLoader: {},
      kernelMappings: [
        {
          regexp: '-amd64$',
          containerImage: `${host}/${BUILT}:1`,
          build: { dockerfile, pull: { insecure: true }, push: { insecure: true } },
        },
      ],
    },
  };
}

/** The digests that status names once the module is loaded everywhere. */
function untilLoaded({ admin, signal }: Scene): Promise<readonly string[]> {
  return eventually(
    async () => {
      const { status } = await admin.get(MODULES, { name: BUILT, namespace: NAMESPACE });
      const kernels = status?.kernels ?? [];
      if (status?.loaded !== `${NODES.length}/${NODES.length}`) {
        throw new Error(kernels.map(({ state, message, build }) => `${state}: ${message ?? build?.phase}`).join('; '));
      }
      return kernels.flatMap(({ build }) => build?.image ?? []);
    },
    { what: `${BUILT} to be loaded`, timeoutMs: 180_000, signal },
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
