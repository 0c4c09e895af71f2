/**
 * Which events of a subscription were given. The history proves all up to `proven`; beyond that, events that were pushed are remembered one by one.
 * All tasks share the sequence, so a hole between two numbers says nothing: only the history can tell whether something stood there.
 */
export class Ledger {
  #last: number;
  #proven: number;
  readonly #unproven = new Set<number>();

  /** At most capacity events stand unproven. */
  constructor(
    after: number,
    readonly capacity: number,
  ) {
    this.#last = this.#proven = after;
  }

  /** The highest sequence that was given. */
  get last(): number {
    return this.#last;
  }

  /** Up to here the history has confirmed that nothing is missing. */
  get proven(): number {
    return this.#proven;
  }

  get full(): boolean {
    return this.#unproven.size >= this.capacity;
  }

  get size(): number {
    return this.#unproven.size;
  }

  has(seq: number): boolean {
    return seq <= this.#proven || this.#unproven.has(seq);
  }

  add(seq: number): void {
    this.#last = Math.max(this.#last, seq);
    this.#unproven.add(seq);
  }

  /** Forgets what was given: sequences go on behind seq, which may be lower than those before. */
  restart(seq: number): void {
    this.#last = this.#proven = seq;
    this.#unproven.clear();
  }

  prove(seq: number): void {
    if (seq <= this.#proven) return;
    this.#proven = seq;
    this.#last = Math.max(this.#last, seq);
    for (const s of this.#unproven) if (s <= seq) this.#unproven.delete(s);
  }
}
