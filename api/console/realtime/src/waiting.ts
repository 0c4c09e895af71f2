import type { RealtimeEvent } from "./event.js";

/** Pushed events that wait for their turn, by sequence. */
export class Waiting {
  readonly #events: RealtimeEvent[] = [];

  constructor(readonly capacity: number) {}

  get size(): number {
    return this.#events.length;
  }

  /** The first one. */
  get first(): RealtimeEvent | undefined {
    return this.#events[0];
  }

  get last(): RealtimeEvent | undefined {
    return this.#events.at(-1);
  }

  /** Reports false when there is no room. */
  add(e: RealtimeEvent): boolean {
    let at = this.#events.length;
    while (at > 0 && this.#events[at - 1]!.seq > e.seq) at--;
    if (this.#events[at - 1]?.seq === e.seq) return true;
    if (this.#events.length >= this.capacity) return false;
    this.#events.splice(at, 0, e);
    return true;
  }

  shift(): RealtimeEvent | undefined {
    return this.#events.shift();
  }

  /** Removes what gone says of. */
  drop(gone: (seq: number) => boolean): void {
    const left = this.#events.filter((e) => !gone(e.seq));
    this.#events.splice(0, this.#events.length, ...left);
  }

  clear(): void {
    this.#events.length = 0;
  }
}
