import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

import { AdminClient } from '../harness/admin.ts';
import type { ControlPlane } from '../harness/control-plane.ts';
import { Nodes } from '../harness/nodes.ts';
import { type OperatorProcess, startOperator } from '../harness/operator.ts';
import type { RunResult } from '../harness/run.ts';
import { ClusterWatch } from './cluster-watch.ts';
import type { Found } from './expectations.ts';
import { readableLogLine } from './log-line.ts';
import type { Narrator } from './narrator.ts';
import { type Picture, pictureOf } from './picture.ts';
import { LoaderRecord } from './record.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/**
 * The next leader has to wait until the Lease of a killed one has run out, which takes 15 s by default; status counts are
 * gathered for 5 s by default. A story is short, so both are shorter here.
 */
const OPERATOR_FLAGS = [
  '--leader-elect-lease-duration=5s',
  '--leader-elect-renew-deadline=4s',
  '--leader-elect-retry-period=500ms',
  '--status-interval=500ms',
];

/** Lines of the operator's log that are told beside a failed check. */
const LAST_WORDS = 12;

/** What the steps of the story act on and look at. */
export class Scene {
  readonly controlPlane: ControlPlane;
  readonly admin: AdminClient;
  readonly nodes: Nodes;
  readonly watch: ClusterWatch;
  readonly narrator: Narrator;
  readonly signal: AbortSignal;
  #operator: OperatorProcess | undefined;
  readonly #endings: (() => Promise<void>)[] = [];

  private constructor(
    controlPlane: ControlPlane,
    admin: AdminClient,
    watch: ClusterWatch,
    narrator: Narrator,
    signal: AbortSignal,
  ) {
    this.controlPlane = controlPlane;
    this.admin = admin;
    this.nodes = new Nodes(admin);
    this.watch = watch;
    this.narrator = narrator;
    this.signal = signal;
  }

  static async open(controlPlane: ControlPlane, narrator: Narrator, signal: AbortSignal): Promise<Scene> {
    const admin = await AdminClient.load(controlPlane.kubeconfig);
    const watch = await ClusterWatch.open(controlPlane, signal);
    return new Scene(controlPlane, admin, watch, narrator, signal);
  }

  /** What a step has started beside the cluster ends with the story, however that ends; the last first. */
  onEnd(ending: () => Promise<void>): void {
    this.#endings.unshift(ending);
  }

  async end(): Promise<void> {
    for (const ending of this.#endings.splice(0)) await ending();
    await this.admin.close();
  }

  get picture(): Picture {
    return pictureOf(this.watch.world);
  }

  /** @throws Error when none has been started */
  get operator(): OperatorProcess {
    if (this.#operator === undefined) throw new Error('no operator has been started');
    return this.#operator;
  }

  async startOperator(): Promise<void> {
    this.#operator = await startOperator(this.controlPlane, { flags: OPERATOR_FLAGS });
  }

  async operatorLog(): Promise<readonly string[]> {
    if (this.#operator === undefined) return [];
    const text = await readFile(this.#operator.logFile, 'utf8');
    return text.trim().split('\n').slice(-LAST_WORDS).map(readableLogLine);
  }

  /** Waits until the picture is as expected; gives what is found instead after 30 s. */
  until(judge: (picture: Picture) => Found): Promise<Found> {
    return this.watch.until((world) => judge(pictureOf(world)));
  }

  /** Runs what is told: the words that are shown are those that kubectl gets, in the repository's folder. */
  async kubectl(...args: readonly string[]): Promise<string> {
    this.narrator.command(`kubectl ${args.map(quoted).join(' ')}`);
    return this.controlPlane.kubectl(args, { cwd: ROOT, signal: this.signal });
  }

  /** As kubectl, with a manifest to read; failure is a result. */
  async tryKubectl(args: readonly string[], input: string): Promise<RunResult> {
    return this.controlPlane.tryKubectl(args, { cwd: ROOT, input, signal: this.signal });
  }

  /** Records every change of loaders from now until the end is called. */
  record(): { readonly record: LoaderRecord; readonly end: () => void } {
    const record = new LoaderRecord(this.watch.world);
    return { record, end: this.watch.onChange((change, world) => record.see(change, world)) };
  }
}

function quoted(argument: string): string {
  return /^[\w@%+=:,./-]+$/.test(argument) ? argument : `'${argument.replaceAll("'", `'\\''`)}'`;
}
