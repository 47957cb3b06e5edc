/**
 * A set of keys ordered by due time, each at most once.
 * A binary heap that knows where each key stands, so that a key can be moved or removed in O(log n): with lazy removal
 * a hot key that keeps overtaking its own five-minute backoff would leave thousands of dead entries behind.
 */
export class DueHeap {
  readonly #heap: { readonly key: string; dueAt: number }[] = [];
  readonly #position = new Map<string, number>();

  get size(): number {
    return this.#heap.length;
  }

  dueAt(key: string): number | undefined {
    const position = this.#position.get(key);
    return position === undefined ? undefined : this.#heap[position]?.dueAt;
  }

  first(): { readonly key: string; readonly dueAt: number } | undefined {
    return this.#heap[0];
  }

  /** Adds the key or moves it to another due time. */
  set(key: string, dueAt: number): void {
    const position = this.#position.get(key);
    const entry = position === undefined ? undefined : this.#heap[position];
    if (position === undefined || entry === undefined) {
      this.#heap.push({ key, dueAt });
      this.#position.set(key, this.#heap.length - 1);
      this.#up(this.#heap.length - 1);
      return;
    }
    entry.dueAt = dueAt;
    this.#up(position);
    this.#down(this.#position.get(key) ?? position);
  }

  delete(key: string): void {
    const position = this.#position.get(key);
    if (position === undefined) return;
    this.#swap(position, this.#heap.length - 1);
    this.#heap.pop();
    this.#position.delete(key);
    if (position >= this.#heap.length) return;
    this.#up(position);
    this.#down(position);
  }

  #up(from: number): void {
    for (let child = from; child > 0; ) {
      const parent = (child - 1) >> 1;
      if (!this.#before(child, parent)) return;
      this.#swap(child, parent);
      child = parent;
    }
  }

  #down(from: number): void {
    for (let parent = from; ; ) {
      const left = 2 * parent + 1;
      const right = left + 1;
      let smallest = parent;
      if (this.#before(left, smallest)) smallest = left;
      if (this.#before(right, smallest)) smallest = right;
      if (smallest === parent) return;
      this.#swap(parent, smallest);
      parent = smallest;
    }
  }

  #before(a: number, b: number): boolean {
    const left = this.#heap[a];
    const right = this.#heap[b];
    return left !== undefined && right !== undefined && left.dueAt < right.dueAt;
  }

  #swap(a: number, b: number): void {
    const left = this.#heap[a];
    const right = this.#heap[b];
    if (left === undefined || right === undefined || a === b) return;
    this.#heap[a] = right;
    this.#heap[b] = left;
    this.#position.set(right.key, a);
    this.#position.set(left.key, b);
  }
}
