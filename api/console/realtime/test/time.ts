import { setImmediate } from "node:timers/promises";

import type { Clock } from "../src/clock.js";

/** A generator of numbers from 0 to 1 that gives the same ones for the same seed. */
export function random(seed: number): () => number {
  let a = (seed + 1) * 0x9e3779b9;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

interface Timer {
  readonly at: number;
  readonly f: () => void;
}

/** Time that passes only when there is nothing else to do. */
export class VirtualClock implements Clock {
  #now = Date.UTC(2025, 8, 1);
  readonly #timers = new Set<Timer>();

  constructor(readonly random: () => number) {}

  now(): number {
    return this.#now;
  }

  get timers(): number {
    return this.#timers.size;
  }

  after(ms: number, f: () => void): () => void {
    const timer = { at: this.#now + Math.max(0, ms), f };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.after(ms, resolve));
  }

  /** Lets time pass until done, or for so many milliseconds. Reports whether it is done. */
  async run(ms: number, done: () => boolean = () => false): Promise<boolean> {
    const end = this.#now + ms;
    for (;;) {
      for (let i = 0; i < 3; i++) await setImmediate();
      if (done()) return true;
      let next: Timer | undefined;
      for (const t of this.#timers) if (!next || t.at < next.at) next = t;
      if (!next || next.at > end) {
        this.#now = end;
        return done();
      }
      this.#timers.delete(next);
      this.#now = next.at;
      next.f();
    }
  }
}
