import { eventually } from '../harness/eventually.ts';

/** Output of a command on a node, both streams. */
export interface ExecResult {
  readonly code: number;
  readonly output: string;
}

/** A node with a kernel of its own, which can be asked. */
export abstract class RealNode {
  abstract readonly name: string;
  /** Folder below which `events/module` is on, and `trace` has every load and unload since. */
  abstract readonly tracing: string;
  /** Path on this machine of what the node wrote to its serial console, where that is kept. */
  abstract readonly consoleLog: string | undefined;

  /** Runs a shell command on the node as root. Fails while the node is out of reach. */
  abstract exec(command: string, signal?: AbortSignal): Promise<ExecResult>;

  /** As exec(), tried again until it works within 60 s; a command that fails throws what it said. */
  async output(command: string): Promise<string> {
    const { code, output } = await eventually((signal) => this.exec(command, signal), {
      what: `${this.name} to run \`${command}\``,
      timeoutMs: 60_000,
      intervalMs: 500,
    });
    if (code !== 0) throw new Error(`\`${command}\` on ${this.name} ended with ${code}: ${output.trim()}`);
    return output;
  }
}
