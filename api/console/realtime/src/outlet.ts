import { RealtimeError } from "./errors.js";
import { ends, type RealtimeEvent } from "./event.js";
import type { Logger, SubscribeOptions, SubscriptionState } from "./options.js";
import { Queue } from "./queue.js";
import { Recent } from "./recent.js";
import type { Volatile } from "./story.js";
import { TextCursors } from "./text.js";

/** Calls a subscription's handlers and feeds its iterator. Nothing that a handler throws goes further than to onError. */
export class Outlet {
  readonly #queue: Queue<RealtimeEvent>;
  readonly #text: TextCursors;
  readonly #over: Recent<true>;
  #iterated: boolean;
  #closed = false;

  constructor(
    private readonly handlers: SubscribeOptions,
    private readonly logger: Logger | undefined,
    tasks: number,
    onReturn: () => void,
  ) {
    this.#queue = new Queue(handlers.buffer ?? 256, onReturn);
    this.#text = new TextCursors(tasks);
    this.#over = new Recent(tasks);
    // Who has no handler is going to iterate, and must not miss what comes until then.
    this.#iterated = !handlers.onEvent && !handlers.onText && !handlers.onProgress;
  }

  /** Events that wait for the iterator, and tasks of which something is remembered. */
  get size(): { readonly queued: number; readonly tasks: number } {
    return { queued: this.#queue.size, tasks: Math.max(this.#text.size, this.#over.size) };
  }

  iterator(): AsyncIterator<RealtimeEvent> {
    this.#iterated = true;
    return this.#queue;
  }

  /** Gives an event and waits until it was taken. */
  async event(e: RealtimeEvent): Promise<void> {
    if (e.state === "queued") this.#over.delete(e.task_id);
    if (ends(e.name)) {
      this.#over.set(e.task_id, true);
      this.#text.forget(e.task_id);
    }
    try {
      await this.handlers.onEvent?.(e);
    } catch (thrown) {
      this.#threw("onEvent", thrown);
    }
    if (this.#iterated) await this.#queue.push(e);
  }

  /** Gives what is not on the log, unless its task is over. */
  volatile(v: Volatile): void {
    if (this.#over.get(v.name === "task.text" ? v.text.task_id : v.progress.task_id)) return;
    if (v.name === "task.progress") return this.#call("onProgress", () => this.handlers.onProgress?.(v.progress));
    for (const { text, place } of this.#text.next(v.text)) this.#call("onText", () => this.handlers.onText?.(text, place));
  }

  state(s: SubscriptionState): void {
    try {
      this.handlers.onState?.(s);
    } catch (thrown) {
      this.#threw("onState", thrown);
    }
  }

  reset(after: number): void {
    this.#call("onReset", () => this.handlers.onReset?.(after));
  }

  error(error: RealtimeError): void {
    this.logger?.warn("realtime: " + error.message, { code: error.code, status: error.status });
    if (this.#closed) return;
    try {
      this.handlers.onError?.(error);
    } catch (thrown) {
      this.logger?.warn("realtime: onError threw", { error: thrown });
    }
  }

  /** Ends the iterator: at once, or behind what waits for it, with the error if there is one. */
  close(how: { readonly now: boolean; readonly error?: RealtimeError | undefined }): void {
    this.#closed = true;
    if (how.now) this.#queue.clear();
    else this.#queue.end(how.error);
  }

  #call(name: string, f: () => void): void {
    if (this.#closed) return;
    try {
      f();
    } catch (thrown) {
      this.#threw(name, thrown);
    }
  }

  #threw(name: string, thrown: unknown): void {
    const why = thrown instanceof Error ? thrown.message : String(thrown);
    this.error(new RealtimeError("handler", `${name} threw: ${why}`, undefined, undefined, { cause: thrown }));
  }
}
