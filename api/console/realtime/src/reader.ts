import type { Api, Source } from "./api.js";
import type { Clock } from "./clock.js";
import { asError, RealtimeError } from "./errors.js";
import { ends, type RealtimeEvent } from "./event.js";
import type { Listener } from "./hub.js";
import { Ledger } from "./ledger.js";
import type { Logger, Order, SubscribeOptions, Subscription, SubscriptionState } from "./options.js";
import { Outlet } from "./outlet.js";
import { Pace } from "./pace.js";
import { Recent } from "./recent.js";
import { fromLog, fromMessage, isVolatile, type LogEvent } from "./story.js";
import type { Tuning } from "./tuning.js";
import { Waiting } from "./waiting.js";
import { whole } from "./whole.js";

/** What a Reader is made of. */
export interface ReaderConfig {
  readonly source: Source;
  readonly api: Api;
  readonly clock: Clock;
  readonly logger: Logger | undefined;
  readonly tuning: Tuning;
  readonly join: (listener: Listener) => () => void;
  readonly onEnd: (reader: Reader) => void;
}

/**
 * One subscription. Only its loop gives events, one after the other; the push channel and the timers leave word and wake it.
 *
 * Whenever the channel was joined, what follows the proven sequence is read from the history while pushed events wait; then those that the history
 * did not have are given. That leaves nothing out: an event behind the end of the history as it was read was appended after the channel was joined,
 * so its message comes. With order "proven" a pushed event only says that the history has something new.
 */
export class Reader implements Subscription, Listener {
  #state: SubscriptionState = "connecting";
  readonly #ledger: Ledger;
  readonly #waiting: Waiting;
  readonly #pace: Pace;
  readonly #outlet: Outlet;
  readonly #kinds: Recent<string>;
  readonly #order: Order;
  readonly #aborter = new AbortController();

  #up = false;
  #gone = false;
  #joins = 0;
  #caughtUp = false; // the history was read since the channel was joined last
  #stale = false; // the history is to be read
  #overflow = false; // a pushed event found no room
  #over = false; // the last event given ends the task
  #believe = 0; // up to here pushed events are given though the history lacks them
  #misses = 0;
  #given = 0;

  readonly #leave: () => void;

  constructor(
    private readonly config: ReaderConfig,
    private readonly options: SubscribeOptions,
  ) {
    const { tuning, source } = config;
    this.#ledger = new Ledger(options.after ?? 0, tuning.unproven);
    this.#waiting = new Waiting(tuning.waiting);
    this.#pace = new Pace(config.clock, tuning);
    this.#kinds = new Recent(tuning.tasks);
    this.#order = options.order ?? (source.scope === "task" ? "proven" : "live");
    this.#outlet = new Outlet(options, config.logger, tuning.tasks, () => this.close());
    this.#pace.tickIn(tuning.pollAfter, () => this.#readSoon());
    this.#leave = config.join(this);
    options.signal?.addEventListener("abort", this.#aborted);
    if (options.signal?.aborted) this.close();
    void this.#run();
  }

  get state(): SubscriptionState {
    return this.#state;
  }

  get last(): number {
    return this.#ledger.last;
  }

  /** How much is held in memory. */
  get size(): { waiting: number; unproven: number; queued: number; tasks: number } {
    const { queued, tasks } = this.#outlet.size;
    return { waiting: this.#waiting.size, unproven: this.#ledger.size, queued, tasks: Math.max(tasks, this.#kinds.size) };
  }

  [Symbol.asyncIterator](): AsyncIterator<RealtimeEvent> {
    return this.#outlet.iterator();
  }

  close(): void {
    this.#end("closed", { now: true });
  }

  message(name: string, payload: unknown): void {
    let m;
    try {
      m = fromMessage(name, payload);
    } catch (e) {
      this.config.logger?.warn("realtime: a message cannot be read", { event: name, error: e });
      return this.#readSoon(); // it stands in the history too
    }
    if (!m || this.#ended) return;
    if (isVolatile(m)) return this.#outlet.volatile(m);
    if (m.kind !== "unknown") this.#kinds.set(m.task_id, m.kind);
    if (!this.config.tuning.splice) return void this.#give(m, false);
    if (this.#ledger.has(m.seq)) return;
    if (!this.#waiting.add(m)) this.#overflow = true;
    this.#pace.wake();
  }

  up(): void {
    this.#up = true;
    this.#gone = this.#caughtUp = false;
    this.#joins++;
    this.#pace.joined();
    this.#setState("catching-up");
    this.#readSoon();
  }

  down(gone: boolean): void {
    if (!this.#up && (this.#gone || !gone)) return;
    this.#up = this.#caughtUp = false;
    this.#gone = gone;
    this.#pace.lost();
    this.#setState("connecting");
    this.#pace.tickIn(gone ? 0 : this.config.tuning.pollAfter, () => this.#readSoon());
    if (gone) this.#outlet.error(new RealtimeError("push", "nothing is pushed at the moment: the history is polled"));
  }

  refused(error: RealtimeError): void {
    this.#end("failed", { now: false, error });
  }

  get #ended(): boolean {
    return this.#aborter.signal.aborted;
  }

  async #run(): Promise<void> {
    while (!this.#ended) {
      if (this.#due()) {
        const { wait } = this.#pace;
        if (wait <= 0) {
          await this.#pass();
          continue;
        }
        this.#pace.wakeIn(wait);
      }
      const next = this.#ready();
      if (next) await this.#give(next, false);
      else await this.#pace.sleep();
    }
  }

  /** Whether the history is to be read. */
  #due(): boolean {
    if (this.#stale || this.#overflow || this.#ledger.full || (this.#over && this.#waiting.size === 0)) return true;
    const last = this.#waiting.last;
    return this.#order === "proven" && last !== undefined && last.seq > this.#believe;
  }

  /** Takes the pushed event that may be given now. */
  #ready(): RealtimeEvent | undefined {
    // It may have come again while it was being given.
    while (this.#waiting.first && this.#ledger.has(this.#waiting.first.seq)) this.#waiting.shift();
    const first = this.#waiting.first;
    if (!first) return undefined;
    const may = this.#order === "proven" ? first.seq <= this.#believe : this.#caughtUp && !this.#overflow && !this.#ledger.full;
    return may ? this.#waiting.shift() : undefined;
  }

  /** Reads the history from the proven sequence to its end. */
  async #pass(): Promise<void> {
    const before = { joins: this.#joins, given: this.#given, waiting: this.#waiting.last?.seq ?? 0, overflow: this.#overflow };
    this.#stale = this.#overflow = false;
    try {
      await this.#readHistory();
    } catch (e) {
      if (!this.#ended) this.#failed(asError(e), before.overflow);
      return;
    }
    if (this.#ended) return;
    this.#pace.tickIn(this.#pace.succeeded(this.#up, this.#given > before.given), () => this.#readSoon());
    this.#waiting.drop((seq) => this.#ledger.has(seq));
    if (this.#up && before.joins === this.#joins) {
      this.#caughtUp = true;
      this.#setState("live");
    }
    if (this.#over && this.#waiting.size === 0) return this.#end("closed", { now: false });
    this.#countMisses(before.waiting);
  }

  /** Pushed events that the history lacks again and again are believed in the end. */
  #countMisses(pushed: number): void {
    const first = this.#waiting.first;
    if (this.#order !== "proven" || !first || first.seq > pushed) {
      this.#misses = 0;
      return;
    }
    if (++this.#misses < this.config.tuning.patience) {
      this.#pace.missed(this.#misses);
      return;
    }
    this.#misses = 0;
    this.#believe = pushed;
    this.config.logger?.warn("realtime: the history lacks what was pushed", { seq: first.seq });
  }

  #failed(error: RealtimeError, overflow: boolean): void {
    if (!error.retryable) return this.#end("failed", { now: false, error });
    this.#stale = true;
    this.#overflow ||= overflow;
    if (this.#pace.failed(error.retryAfter)) this.#outlet.error(error);
  }

  async #readHistory(): Promise<void> {
    for (let after = this.#ledger.proven; ; after = this.#ledger.proven) {
      const page = await this.config.api.history(this.config.source, after, this.#aborter.signal);
      if (page.reset && !this.#ended) this.#restart(after, page.next);
      for (const e of page.events) {
        if (this.#ended) return;
        await this.#offer(e);
      }
      if (this.#ended) return;
      this.#ledger.prove(page.next);
      if (!page.more || this.#ledger.proven === after) return;
    }
  }

  /** Begins anew at next. Pushed events may be of the log as it was; what is still on it behind next is read again. */
  #restart(after: number, next: number): void {
    this.#ledger.restart(next);
    this.#waiting.clear();
    this.#believe = this.#misses = 0;
    this.#readSoon();
    this.#outlet.reset(after);
  }

  async #offer(e: LogEvent): Promise<void> {
    if (this.config.tuning.splice && this.#ledger.has(e.seq)) return;
    const event = fromLog(e, this.#kinds.get(e.task_id));
    if (!event) return;
    if (event.kind !== "unknown") this.#kinds.set(event.task_id, event.kind);
    await this.#give(event, true);
  }

  async #give(event: RealtimeEvent, fromHistory: boolean): Promise<void> {
    const e = await whole(event, fromHistory, this.config, this.#aborter.signal, (error) => this.#outlet.error(error));
    if (this.#ended) return;
    const late = e.seq < this.#ledger.last;
    this.#ledger.add(e.seq);
    this.#given++;
    this.#over = this.config.source.scope === "task" && ends(e.name);
    await this.#outlet.event(late ? { ...e, late } : e);
  }

  readonly #aborted = (): void => this.close();

  #end(state: "closed" | "failed", how: { now: boolean; error?: RealtimeError }): void {
    if (this.#ended) return;
    if (how.error) this.#outlet.error(how.error);
    this.#aborter.abort(new RealtimeError("unavailable", "the subscription is closed"));
    this.#outlet.close(how);
    this.options.signal?.removeEventListener("abort", this.#aborted);
    this.#waiting.clear();
    void Promise.resolve().then(() => this.#leave()); // join may be still on its way
    this.config.onEnd(this);
    this.#setState(state);
    this.#pace.stop();
  }

  #setState(state: SubscriptionState): void {
    if (state === this.#state || (this.#ended && state !== "closed" && state !== "failed")) return;
    this.#state = state;
    this.#outlet.state(state);
  }

  #readSoon(): void {
    this.#stale = true;
    this.#pace.wake();
  }
}
