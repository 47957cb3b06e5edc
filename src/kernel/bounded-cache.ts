export interface CacheLimits {
  readonly entries: number;
  /** In whatever unit `set` is told. */
  readonly weight: number;
}

/** Remembers what was used last, up to a number of entries and up to a weight of them all. */
export class BoundedCache<Value> {
  readonly #limits: CacheLimits;
  /** In order of last use. */
  readonly #entries = new Map<string, { readonly value: Value; readonly weight: number }>();
  #weight = 0;

  constructor(limits: CacheLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#entries.size;
  }

  get weight(): number {
    return this.#weight;
  }

  get(key: string): Value | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    return entry.value;
  }

  /** Forgets the entries that were not used for longest until there is room; one that is too heavy alone is not kept, and no other goes for it. */
  set(key: string, value: Value, weight: number): void {
    this.#forget(key);
    if (weight > this.#limits.weight) return;
    this.#entries.set(key, { value, weight });
    this.#weight += weight;
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= this.#limits.entries && this.#weight <= this.#limits.weight) break;
      this.#forget(oldest);
    }
  }

  #forget(key: string): void {
    this.#weight -= this.#entries.get(key)?.weight ?? 0;
    this.#entries.delete(key);
  }
}
