import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';

import { MODULES, type Module } from '../../../src/api/module.ts';
import { NODES, PODS } from '../../../src/kube/core.ts';
import type { Material } from '../../e2e/bed/bed.ts';
import { helloBuildArgs, inlineDockerfile } from '../../e2e/bed/building.ts';
import { REGISTRY } from '../../e2e/bed/guest-config.ts';
import { DEVICE_PLUGIN_IMAGE, push, TOOLS_IMAGE } from '../../e2e/bed/images.ts';
import type { Kernel } from '../../e2e/bed/kernels.ts';
import { nodePlace } from '../../e2e/bed/network.ts';
import { linkPrograms, startBedRegistry } from '../../e2e/bed/programs.ts';
import { VirtualNode } from '../../e2e/bed/virtual-node.ts';
import { isLoaded, kernelLines, moduleEvents } from '../../e2e/guest.ts';
import { HELLO_RESOURCE, helloModule, readerPod } from '../../e2e/hello/module.ts';
import { eventually } from '../../harness/eventually.ts';
import { NAMESPACE } from '../cast.ts';
import type { Scene } from '../scene.ts';
import { hasLookedAtEverything } from './outage.ts';
import type { Step } from './step.ts';

const HELLO = { namespace: NAMESPACE, name: 'hello' };
const READER = { namespace: NAMESPACE, name: 'reader' };
/** Builds run on this machine, in the place of the kubelet of this simulated node. */
const BUILDER = 'node-1';
/** What happens in a guest takes seconds on a quiet machine, and minutes on a busy one. */
const PATIENCE_MS = 600_000;

/** The one step whose node is real: its kernel is asked, beside the Module's status. */
export function real(material: Material): Step {
  return {
    title: 'A real node joins: a virtual machine with a kernel, a kubelet and a containerd of its own',
    async tell(scene) {
      const { narrator, admin } = scene;
      const [{ release }] = material.kernels;
      const node = await boot(scene, material);
      narrator.say(`${node.name} boots the Debian kernel ${release}`);
      await narrator.expect(`${node.name} is Ready`, () => untilReady(scene, node));
      narrator.quote(await node.output('uname -srvm'));

      narrator.command('kubectl apply -f -   # a Module that compiles kmm_hello.c, with a device plugin');
      await admin.create(MODULES, await builtHello(node, material.kernels[0]));
      await narrator.expect(
        'the module is built, pushed, in the kernel of the node, and offered by the device plugin',
        () => untilLoaded(scene, node),
      );
      await bothSay(scene, node);

      narrator.command(
        `kubectl apply -f -   # a pod that asks for one ${HELLO_RESOURCE}, and reads from /dev/kmm_hello`,
      );
      await narrator.expect('it has read what the module in the kernel says', () => untilRead(scene, node, release));

      narrator.command(`kill -9 ${scene.operator.pid}`);
      const events = await moduleEvents(node);
      await scene.operator.kill();
      await narrator.expect('a new operator leads and has looked at everything', async () => {
        await scene.startOperator();
        return hasLookedAtEverything(scene.operator, scene.signal);
      });
      const now = await moduleEvents(node);
      await narrator.fact(
        'the kernel has noted no load and no unload meanwhile',
        now.join() === events.join() && now.at(-1) === 'load' ? undefined : `it noted ${now.join(', ')}`,
      );

      await admin.delete(PODS, READER, { gracePeriodSeconds: 1 });
      await narrator.expect('the Module is deleted, and its module has gone from the kernel', async () => {
        await scene.kubectl('delete', 'module', HELLO.name, '-n', NAMESPACE, '--timeout=300s');
        return (await isLoaded(node)) ? 'it is still there' : undefined;
      });
      narrator.say(`${node.name} says:`);
      narrator.quote((await kernelLines(node)).join('\n'));
      await node.shutDown();
      await admin.delete(NODES, { name: node.name });
    },
  };
}

/** Starts the registry that its images come from, fills it, and starts the node. */
async function boot({ controlPlane, signal }: Scene, material: Material): Promise<VirtualNode> {
  const { directory, pki, server } = controlPlane;
  await linkPrograms(directory);
  await startBedRegistry(directory);
  const place = nodePlace('real-node', 1);
  await mkdir(join(directory, 'nodes'));
  const node = await VirtualNode.create(
    join(directory, 'nodes', place.name),
    { ...place, software: material.software, apiServerPort: Number(new URL(server).port), nodes: [place] },
    { disk: material.disk, authority: { certificate: pki.ca, key: pki.caKey } },
  );
  await node.start(material.kernels[0]);
  await Promise.all(material.images.map((image) => push(image, { registry: REGISTRY, insecure: true }, signal)));
  return node;
}

async function builtHello(node: VirtualNode, kernel: Kernel) {
  const build = {
    dockerfile: await inlineDockerfile(),
    buildArgs: helloBuildArgs(kernel),
    pull: { insecure: true },
    push: { insecure: true },
    selector: { 'kubernetes.io/hostname': BUILDER },
  };
  const containerImage = `${REGISTRY}/built/kmm-hello:\${KERNEL_FULL_VERSION}`;
  const selector = { 'kubernetes.io/hostname': node.name };
  return helloModule(HELLO, selector, [{ literal: kernel.release, containerImage, build }])
    .withDevicePlugin({ image: `${REGISTRY}/${DEVICE_PLUGIN_IMAGE}` })
    .build();
}

function untilReady({ admin, signal }: Scene, { name }: VirtualNode): Promise<undefined> {
  return untilSo(`node ${name}`, signal, async () => {
    const { status } = await admin.get(NODES, { name });
    const ready = status?.conditions?.find(({ type }) => type === 'Ready');
    if (ready?.status !== 'True') throw new Error(`Ready is ${ready?.status ?? 'not said'}`);
  });
}

function untilLoaded({ admin, signal }: Scene, node: VirtualNode): Promise<undefined> {
  return untilSo('the module in the kernel', signal, async () => {
    const { status } = await admin.get(MODULES, HELLO);
    const ready = status?.conditions?.find(({ type }) => type === 'Ready');
    if (ready?.status !== 'True') throw new Error(conditionLines(status).join('; '));
    if (!(await isLoaded(node))) throw new Error('status says that it is loaded, and /proc/modules does not have it');
  });
}

function untilRead({ admin, controlPlane, signal, narrator }: Scene, node: VirtualNode, release: string) {
  const pod = readerPod(READER, { node: node.name, image: `${REGISTRY}/${TOOLS_IMAGE}`, script: 'cat /dev/kmm_hello' });
  return controlPlane.kubectl(['create', '-f', '-'], { input: JSON.stringify(pod), signal }).then(() =>
    untilSo('the pod', signal, async () => {
      const { status } = await admin.get(PODS, READER);
      if (status?.phase !== 'Succeeded') throw new Error(`it is ${status?.phase}`);
      const said = await controlPlane.kubectl(['logs', '-n', READER.namespace, READER.name], { signal });
      if (said !== `hello kubernetes from ${release}\n`) throw new Error(`it read ${said}`);
      narrator.quote(said);
    }),
  );
}

/** The kernel's own lines, and beside them what the Module says. */
async function bothSay({ admin, narrator }: Scene, node: VirtualNode): Promise<void> {
  narrator.say(`${node.name} says:`);
  narrator.quote((await kernelLines(node)).join('\n'));
  narrator.quote((await node.output("grep '^kmm_hello ' /proc/modules")).trim());
  narrator.say('The Module says:');
  const { status } = await admin.get(MODULES, HELLO);
  narrator.quote(conditionLines(status).join('\n'));
}

function conditionLines(status: Module['status']): readonly string[] {
  return (status?.conditions ?? []).map(({ type, status, message }) => `${type} ${status}: ${message}`);
}

async function untilSo(what: string, signal: AbortSignal, attempt: () => Promise<void>): Promise<undefined> {
  await eventually(attempt, { what, timeoutMs: PATIENCE_MS, intervalMs: 300, signal });
  return undefined;
}
