import { backoff, type Clock, jitter } from "./clock.js";
import type { Tuning } from "./tuning.js";

/** When a subscription's loop runs and when it may read the history again. */
export class Pace {
  #notBefore = 0;
  #failures = 0;
  #idle = 0;
  #wakened = false;
  #resume: (() => void) | undefined;
  #cancelTick: () => void = () => undefined;
  #cancelAlarm: () => void = () => undefined;

  constructor(
    private readonly clock: Clock,
    private readonly tuning: Tuning,
  ) {}

  /** Milliseconds until the history may be read; 0 or less means now. */
  get wait(): number {
    return this.#notBefore - this.clock.now();
  }

  /** The channel was joined: there is reason to read at once, unless reading fails. */
  joined(): void {
    if (this.#failures === 0) this.#notBefore = 0;
  }

  /** Polling begins anew with its shortest interval. */
  lost(): void {
    this.#idle = 0;
  }

  /** The history was read; returns when to read it next though nothing asks for it. */
  succeeded(pushed: boolean, news: boolean): number {
    const { clock, tuning } = this;
    this.#failures = 0;
    this.#idle = news ? 0 : this.#idle + 1;
    this.#notBefore = clock.now() + jitter(clock, tuning.gap, 0.2);
    return pushed ? jitter(clock, tuning.auditEvery, 0.2) : jitter(clock, Math.min(tuning.pollMax, tuning.pollMin * 1.5 ** this.#idle), 0.5);
  }

  /** Reports whether it is the first failure in a row. */
  failed(retryAfter: number | undefined): boolean {
    this.#notBefore = this.clock.now() + backoff(this.clock, ++this.#failures, this.tuning.retryMin, this.tuning.retryMax, retryAfter);
    return this.#failures === 1;
  }

  /** The history lacked what it should have, so many times. */
  missed(times: number): void {
    this.#notBefore = this.clock.now() + backoff(this.clock, times, this.tuning.gap, this.tuning.retryMax);
  }

  /** Calls f after ms milliseconds, in place of what was to be called before. */
  tickIn(ms: number, f: () => void): void {
    this.#cancelTick();
    this.#cancelTick = this.clock.after(ms, f);
  }

  wakeIn(ms: number): void {
    this.#cancelAlarm();
    this.#cancelAlarm = this.clock.after(ms, () => this.wake());
  }

  wake(): void {
    this.#wakened = true;
    this.#resume?.();
  }

  /** Resolves at the next wake, or at once when there was one since the last sleep. */
  async sleep(): Promise<void> {
    if (!this.#wakened) await new Promise<void>((resolve) => (this.#resume = resolve));
    this.#resume = undefined;
    this.#wakened = false;
  }

  stop(): void {
    this.#cancelTick();
    this.#cancelAlarm();
    this.wake();
  }
}
