import { hash } from 'node:crypto';

export interface TokenVerdictsOptions<Verdict> {
  /** Asks the API server; what it throws is not remembered. */
  readonly lookUp: (token: string) => Promise<Verdict>;
  /** How long a verdict counts, milliseconds: what was taken away works for that long still. */
  readonly goodForMs: (verdict: Verdict) => number;
  /** How many verdicts are remembered; those that were not used for longest go. */
  readonly most: number;
  /** How many tokens are looked up at once; more are refused. */
  readonly mostLookUps?: number;
  /** Milliseconds, on whichever clock. */
  readonly nowMs: () => number;
}

/** What is known of tokens, by their hashes: the tokens themselves are not kept. Each is looked up only once in a while. */
export class TokenVerdicts<Verdict> {
  readonly #options: TokenVerdictsOptions<Verdict>;
  /** In order of last use. */
  readonly #known = new Map<string, { readonly verdict: Verdict; readonly untilMs: number }>();
  readonly #underWay = new Map<string, Promise<Verdict>>();

  constructor(options: TokenVerdictsOptions<Verdict>) {
    this.#options = options;
  }

  /** @throws Error when too many are looked up at once; what looking up throws */
  async of(token: string): Promise<Verdict> {
    const { mostLookUps = Number.POSITIVE_INFINITY, nowMs } = this.#options;
    const key = hash('sha256', token, 'hex');
    const known = this.#known.get(key);
    if (known !== undefined && nowMs() < known.untilMs) {
      this.#keep(key, known);
      return known.verdict;
    }
    const underWay = this.#underWay.get(key);
    if (underWay !== undefined) return underWay;
    if (this.#underWay.size >= mostLookUps) throw new Error('too many tokens at once');
    const lookUp = this.#lookUp(token, key).finally(() => this.#underWay.delete(key));
    this.#underWay.set(key, lookUp);
    return lookUp;
  }

  async #lookUp(token: string, key: string): Promise<Verdict> {
    const { lookUp, goodForMs, nowMs } = this.#options;
    const verdict = await lookUp(token);
    this.#keep(key, { verdict, untilMs: nowMs() + goodForMs(verdict) });
    return verdict;
  }

  #keep(key: string, known: { readonly verdict: Verdict; readonly untilMs: number }): void {
    this.#known.delete(key);
    this.#known.set(key, known);
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= this.#options.most) break;
      this.#known.delete(oldest);
    }
  }
}
