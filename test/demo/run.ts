import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';

import type { Tally } from '../../hack/tally.ts';
import type { Material } from '../e2e/bed/bed.ts';
import { SERVER_ADDRESSES } from '../e2e/bed/guest-config.ts';
import { layOutNetwork } from '../e2e/bed/network.ts';
import { attachControlPlane, type ControlPlane, startControlPlane } from '../harness/control-plane.ts';
import { processesUnder } from '../harness/processes.ts';
import type { Found } from './expectations.ts';
import { Narrator, StoryEnded, seconds } from './narrator.ts';
import { plainText, span } from './paint.ts';
import { Scene } from './scene.ts';
import type { LiveView, Screen } from './screen.ts';
import type { Step } from './story/step.ts';
import { ENDING, storyWith } from './story/story.ts';
import { view } from './view.ts';

/** The cluster's folder is called `kmm-demo-...`. */
const NAME = 'demo';

export interface DemoOptions {
  readonly screen: Screen;
  /** What a real node is made of, where there is to be one; the demo is in a network namespace of its own then. */
  readonly realNode?: Material;
  /** Leaves the cluster and the operator running, before the Module is deleted. */
  readonly keep: boolean;
  /** Ends the demo at any moment; nothing of it stays then. */
  readonly signal: AbortSignal;
}

/**
 * Tells the whole story and counts its checks. Whatever happens, the cluster has gone when this returns or throws, unless
 * it was to be kept.
 *
 * @throws the reason of the signal when that ended it
 */
export async function runDemo({ screen, keep, realNode, signal }: DemoOptions): Promise<Tally> {
  const started = performance.now();
  let scene: Scene | undefined;
  const narrator = new Narrator({ screen, operatorLog: async () => (await scene?.operatorLog()) ?? [] });
  screen.print([span('Kernel Module Management: the story of one Module on a cluster of simulated nodes', 'strong')]);

  let controlPlane: ControlPlane | undefined;
  try {
    if (realNode !== undefined) await layOutNetwork();
    controlPlane = await raise(narrator, screen, realNode !== undefined, signal);
    scene = await Scene.open(controlPlane, narrator, signal);
    scene.watch.onChange(() => screen.refresh());
    screen.show(liveView(scene, narrator));
    const told = scene;
    const story = storyWith(realNode);
    await unlessAborted(() => tell(told, screen, keep ? story : [...story, ...ENDING]), signal);
  } catch (error) {
    if (!signal.aborted && !(error instanceof StoryEnded)) await narrator.broken(describe(error));
  }
  screen.show(undefined);
  await scene?.end();
  if (signal.aborted) {
    await controlPlane?.stop();
    signal.throwIfAborted();
  }
  if (controlPlane !== undefined) {
    if (keep) leave(controlPlane, scene, realNode !== undefined, narrator);
    else await tidyUp(controlPlane, narrator);
  }
  signal.throwIfAborted();
  screen.print([]);
  screen.print([span(`Told in ${seconds(performance.now() - started)}.`)]);
  return narrator.tally;
}

/** Ends a cluster that was kept. @throws Error when the folder is none of the demo's. */
export async function stopKept(directory: string): Promise<void> {
  if (!basename(directory).startsWith(`kmm-${NAME}-`) || !existsSync(join(directory, 'control-plane.json'))) {
    throw new Error(`${directory} is not the folder of a demo that was kept; its end names the folder`);
  }
  const controlPlane = await attachControlPlane(directory);
  await controlPlane.stop();
}

async function raise(
  narrator: Narrator,
  screen: Screen,
  realKubelets: boolean,
  signal: AbortSignal,
): Promise<ControlPlane> {
  narrator.step('A control plane starts: etcd, API server, controller manager, scheduler');
  screen.show(() => [narrator.waitingLine]);
  const { promise, resolve } = Promise.withResolvers<ControlPlane>();
  await narrator.expect('the API server is ready', async () => {
    const kubelets = realKubelets ? { kubelets: { addresses: SERVER_ADDRESSES } } : {};
    resolve(await startControlPlane({ name: NAME, ...kubelets, signal }));
    return undefined;
  });
  return promise;
}

/** One step after the other; on a screen without a live view, the cluster is shown after each step that changed it. */
async function tell(scene: Scene, screen: Screen, steps: readonly Step[]): Promise<void> {
  let shown = '';
  for (const step of steps) {
    scene.narrator.step(step.title);
    await step.tell(scene);
    if (screen.live || scene.picture.module === undefined) continue;
    const lines = view(scene.picture, { columns: PLAIN_COLUMNS });
    const text = lines.map(plainText).join();
    if (text !== shown) scene.narrator.table(lines);
    shown = text;
  }
}

/** Wide enough for a whole image reference beside its kernel. */
const PLAIN_COLUMNS = 130;

function liveView(scene: Scene, narrator: Narrator): LiveView {
  return ({ columns, rows = Number.POSITIVE_INFINITY }) => [
    [span('─'.repeat(columns), 'quiet')],
    ...view(scene.picture, { columns, rows: rows - 2 }),
    narrator.waitingLine,
  ];
}

async function tidyUp(controlPlane: ControlPlane, narrator: Narrator): Promise<void> {
  narrator.step('Nothing stays behind');
  try {
    await narrator.expect('no process and no folder of the demo is left', async () => {
      await controlPlane.stop();
      return leftOf(controlPlane.directory);
    });
  } catch (error) {
    if (!(error instanceof StoryEnded)) await narrator.broken(describe(error));
  }
}

async function leftOf(directory: string): Promise<Found> {
  const pids = await processesUnder(directory);
  if (pids.length > 0) return `pids ${pids.join(', ')}`;
  return existsSync(directory) ? directory : undefined;
}

function leave(controlPlane: ControlPlane, scene: Scene | undefined, inNamespace: boolean, narrator: Narrator): void {
  controlPlane.keep();
  const { directory, kubeconfig } = controlPlane;
  narrator.step('The cluster and the operator stay');
  if (inNamespace) {
    narrator.say('All of it is in a network namespace of its own. A shell in there:');
    narrator.say(`nsenter --net=/proc/${scene?.operator.pid}/ns/net`);
  }
  narrator.say(`export KUBECONFIG=${kubeconfig}`);
  narrator.say(`export PATH=${join(directory, 'bin')}:$PATH    # for its kubectl`);
  narrator.say('kubectl get modules,daemonsets,pods -o wide');
  narrator.say(`The operator writes its log to ${scene?.operator.logFile ?? directory}`);
  narrator.say(`To end all of it: make demo ARGS='--stop ${directory}'`);
}

/** Steps wait in many places; whatever they wait for, the signal ends the story at once. */
async function unlessAborted(work: () => Promise<void>, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const { promise, reject } = Promise.withResolvers<never>();
  const abort = (): void => reject(signal.reason);
  signal.addEventListener('abort', abort);
  try {
    await Promise.race([work(), promise]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
