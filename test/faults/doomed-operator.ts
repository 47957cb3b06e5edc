/** An operator that is killed after each of its writes, before it learns that the write was done, and started again. */
import type { ControlPlane } from '../harness/control-plane.ts';
import { FaultProxy, type Write } from './fault-proxy.ts';
import { KeptOperator } from './kept-operator.ts';

/** Alone, so there is no lease of a dead one to wait for. */
const FLAGS = ['--leader-elect=false', '--status-interval=100ms'];

export class DoomedOperator {
  readonly #proxy: FaultProxy;
  readonly #kept: KeptOperator;
  /** How often it was killed. */
  readonly kills: () => number;

  private constructor(proxy: FaultProxy, kept: KeptOperator, kills: () => number) {
    this.#proxy = proxy;
    this.#kept = kept;
    this.kills = kills;
  }

  /** @param kills false for one that lives until it is stopped, to compare with */
  static async start(controlPlane: ControlPlane, { kills }: { readonly kills: boolean }): Promise<DoomedOperator> {
    let killed = 0;
    let kept: KeptOperator | undefined;
    const proxy = await FaultProxy.start(controlPlane, {
      afterWrite: async () => {
        if (!kills) return true;
        killed += 1;
        await kept?.kill();
        return false;
      },
    });
    kept = new KeptOperator(controlPlane, { server: proxy.url, flags: FLAGS });
    return new DoomedOperator(proxy, kept, () => killed);
  }

  /** What it has written in all its lives. */
  get writes(): readonly Write[] {
    return this.#proxy.writes;
  }

  /** @throws Error when it ended by itself meanwhile */
  async stop(): Promise<void> {
    await this.#kept.stop();
    await this.#proxy.close();
    const others = this.#kept.ends.filter((end) => end !== 'SIGKILL');
    if (others.length > 0) throw new Error(`the operator ended by itself: ${others.join(', ')}`);
  }
}
