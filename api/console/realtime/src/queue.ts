/** A bounded queue between one producer, who waits for room, and an iterator. */
export class Queue<T> implements AsyncIterableIterator<T> {
  #items: T[] = [];
  #ended = false;
  #error: Error | undefined;
  readonly #readers: { resolve: (r: IteratorResult<T>) => void; reject: (e: Error) => void }[] = [];
  #room: (() => void)[] = [];

  /** onReturn is called when the reader leaves early. */
  constructor(
    private readonly capacity: number,
    private readonly onReturn: () => void,
  ) {}

  get size(): number {
    return this.#items.length;
  }

  /** Resolves as soon as there is room for the next item, or nobody wants one. */
  async push(item: T): Promise<void> {
    if (this.#ended) return;
    const reader = this.#readers.shift();
    if (reader) return reader.resolve({ value: item, done: false });
    this.#items.push(item);
    while (this.#items.length >= this.capacity && !this.#ended) await new Promise<void>((resolve) => this.#room.push(resolve));
  }

  /** What is in the queue can still be read; behind it comes the error, or the end. */
  end(error?: Error): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#error = error;
    this.#release();
    for (const reader of this.#readers.splice(0)) {
      if (this.#error) reader.reject(this.#take()!);
      else reader.resolve({ value: undefined, done: true });
    }
  }

  /** Ends, and forgets what is in the queue. */
  clear(): void {
    this.#items = [];
    this.end();
  }

  next(): Promise<IteratorResult<T>> {
    const item = this.#items.shift();
    if (item !== undefined) {
      this.#release();
      return Promise.resolve({ value: item, done: false });
    }
    if (this.#error) return Promise.reject(this.#take()!);
    if (this.#ended) return Promise.resolve({ value: undefined, done: true });
    return new Promise((resolve, reject) => this.#readers.push({ resolve, reject }));
  }

  return(): Promise<IteratorResult<T>> {
    this.onReturn();
    this.clear();
    this.#error = undefined;
    return Promise.resolve({ value: undefined, done: true });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #take(): Error | undefined {
    const error = this.#error;
    this.#error = undefined;
    return error;
  }

  #release(): void {
    for (const resolve of this.#room.splice(0)) resolve();
  }
}
