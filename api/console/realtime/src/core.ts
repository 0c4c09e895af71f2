import { Api, type Source } from "./api.js";
import { orgChannel, taskChannel, userChannel } from "./channel.js";
import { type Clock, systemClock } from "./clock.js";
import { Hub } from "./hub.js";
import type { RealtimeOptions, SubscribeOptions } from "./options.js";
import { pusherJs } from "./pusher.js";
import { Reader } from "./reader.js";
import { type Tuning, tuning } from "./tuning.js";

/** What tests bring along. */
export interface Internals {
  readonly clock?: Clock;
  readonly tuning?: Partial<Tuning>;
}

/** Realtime, with what tests may change. */
export class Core {
  readonly #readers = new Set<Reader>();
  readonly #api: Api;
  readonly #clock: Clock;
  readonly #tuning: Tuning;
  readonly #close = (): void => this.close();
  #hub: Hub | undefined;
  #closed = false;

  constructor(
    private readonly options: RealtimeOptions,
    internals: Internals = {},
  ) {
    const baseUrl = check(options).replace(/\/+$/, "");
    this.#clock = internals.clock ?? systemClock;
    this.#tuning = { ...tuning, ...internals.tuning };
    this.#api = new Api({ baseUrl, token: options.token, fetch: options.fetch ?? fetch, clock: this.#clock });
    options.signal?.addEventListener("abort", this.#close);
    if (options.signal?.aborted) this.close();
  }

  task(id: string, options: SubscribeOptions): Reader {
    return this.#subscribe(taskChannel(id), { scope: "task", id }, options);
  }

  user(userId: string, options: SubscribeOptions): Reader {
    return this.#subscribe(userChannel(userId), { scope: "user" }, options);
  }

  org(tenant: string, options: SubscribeOptions): Reader {
    return this.#subscribe(orgChannel(tenant), { scope: "org" }, options);
  }

  get size(): number {
    return this.#readers.size;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.options.signal?.removeEventListener("abort", this.#close);
    for (const reader of [...this.#readers]) reader.close();
    this.#hub?.close();
  }

  #subscribe(channel: string, source: Source, options: SubscribeOptions): Reader {
    if (this.#closed) throw new Error("Realtime is closed");
    wholeOr("after", options.after, 0);
    wholeOr("buffer", options.buffer, 1);
    const { pusher } = this.options;
    this.#hub ??= new Hub(typeof pusher === "function" ? pusher : pusherJs(pusher), this.#api, this.#clock);
    const hub = this.#hub;
    const reader = new Reader(
      {
        source,
        api: this.#api,
        clock: this.#clock,
        logger: this.options.logger,
        tuning: this.#tuning,
        join: (listener) => hub.join(channel, listener),
        onEnd: (ended) => this.#readers.delete(ended),
      },
      options,
    );
    if (reader.state !== "closed") this.#readers.add(reader);
    return reader;
  }
}

function check(options: RealtimeOptions): string {
  const { baseUrl, pusher, token } = options;
  if (!/^https?:\/\/[^?#]+$/.test(baseUrl)) throw new TypeError("baseUrl must be an http or https URL without a query");
  if (typeof token !== "function") throw new TypeError("token must be a function");
  if (typeof pusher !== "function" && (!pusher?.key || !pusher.host)) throw new TypeError("pusher must have key and host, or be a function");
  return baseUrl;
}

function wholeOr(field: string, value: number | undefined, min: number): void {
  if (value !== undefined && (!Number.isSafeInteger(value) || value < min)) throw new TypeError(`${field} must be a whole number, at least ${min}`);
}
