import { type Clock, jitter, pause } from "./clock.js";
import { asError, type ErrorCode, RealtimeError } from "./errors.js";
import { isFields, type LogEvent, taskPath } from "./story.js";

/** Where a subscription's history is. */
export type Source = { readonly scope: "task"; readonly id: string } | { readonly scope: "user" | "org" };

/** One page of a history. */
export interface Page {
  readonly events: readonly LogEvent[];
  /** Up to here nothing is missing: `after` of the next page. */
  readonly next: number;
  /** Whether the next page has something already. */
  readonly more: boolean;
  /** What followed `after` is in part no longer kept: begin anew at `next`, which may stand in front of it. */
  readonly reset: boolean;
}

/** The answer to a channel's authorization, as Pusher's clients send it on. */
export interface ChannelAuth {
  readonly auth: string;
  readonly channel_data?: string;
}

/** What a token is asked for. */
export interface TokenRequest {
  /** The last token was refused: fetch a new one. */
  readonly refresh: boolean;
}

export interface ApiConfig {
  readonly baseUrl: string;
  readonly token: (request: TokenRequest) => string | Promise<string>;
  readonly fetch: typeof fetch;
  readonly clock: Clock;
}

const maxAnswer = 16 << 20; // bytes
const maxAtOnce = 4; // requests under way
const requestTimeout = 15_000; // ms, for headers and body together
const maxWait = 300_000; // ms that the server may ask to wait
const pageSize = 200;

/**
 * Calls the REST API: a few requests at once, each with a timeout, and none while the server asks to wait. It repeats nothing but what a fresh token
 * mends.
 */
export class Api {
  #underWay = 0;
  readonly #queue: (() => void)[] = [];
  #heldUntil = 0;
  #refreshing: Promise<string> | undefined;

  constructor(private readonly config: ApiConfig) {}

  async history(source: Source, after: number, signal: AbortSignal, limit = pageSize): Promise<Page> {
    const query = `after=${after}&limit=${limit}`;
    const path = source.scope === "task" ? `${taskPath(source.id)}/events?${query}` : `/api/v1/events?scope=${source.scope}&${query}`;
    return readPage(data(await this.#call("GET", path, undefined, signal)), after);
  }

  /** Returns the task as the API shows it. */
  async task(id: string, signal: AbortSignal): Promise<Readonly<Record<string, unknown>>> {
    return data(await this.#call("GET", taskPath(id), undefined, signal));
  }

  async authorize(socketId: string, channel: string, signal: AbortSignal): Promise<ChannelAuth> {
    const form = new URLSearchParams({ socket_id: socketId, channel_name: channel });
    const answer = await this.#call("POST", "/api/v1/pusher/auth", form, signal);
    if (!isFields(answer) || typeof answer["auth"] !== "string") throw malformed("has no auth");
    const { auth, channel_data } = answer;
    return typeof channel_data === "string" ? { auth, channel_data } : { auth };
  }

  async #call(method: string, path: string, body: URLSearchParams | undefined, signal: AbortSignal): Promise<unknown> {
    await this.#turn(signal);
    try {
      const token = await this.#token();
      try {
        return await this.#send(method, path, body, token, signal);
      } catch (e) {
        if (!(e instanceof RealtimeError) || (e.status !== 401 && e.status !== 403)) throw e;
        const fresh = await this.#refresh();
        if (fresh === token) throw e;
        return await this.#send(method, path, body, fresh, signal);
      }
    } finally {
      this.#underWay--;
      this.#next();
    }
  }

  #next(): void {
    if (this.#underWay < maxAtOnce) this.#queue.shift()?.();
  }

  /** Waits for a place among the requests under way, and until the server wants to hear from us again. */
  async #turn(signal: AbortSignal): Promise<void> {
    for (;;) {
      if (signal.aborted) {
        this.#next(); // who woke us may have done so in vain
        throw asError(signal.reason);
      }
      const wait = this.#heldUntil - this.config.clock.now();
      if (wait > 0) await pause(this.config.clock, jitter(this.config.clock, wait * 1.1, 0.1), signal);
      else if (this.#underWay < maxAtOnce) break;
      else await new Promise<void>((resolve) => this.#queue.push(resolve));
    }
    this.#underWay++;
  }

  async #token(): Promise<string> {
    return this.#refreshing ?? this.config.token({ refresh: false });
  }

  /** Many requests that are refused at once ask for one new token. */
  #refresh(): Promise<string> {
    this.#refreshing ??= Promise.resolve(this.config.token({ refresh: true })).finally(() => (this.#refreshing = undefined));
    return this.#refreshing;
  }

  async #send(method: string, path: string, body: URLSearchParams | undefined, token: string, signal: AbortSignal): Promise<unknown> {
    const aborter = new AbortController();
    const abort = (): void => aborter.abort(signal.reason);
    const cancel = this.config.clock.after(requestTimeout, () => aborter.abort(new RealtimeError("unavailable", `${method} ${path}: no answer in time`)));
    signal.addEventListener("abort", abort);
    try {
      const headers: Record<string, string> = { Accept: "application/json", Authorization: `Bearer ${token}` };
      const { fetch } = this.config; // called without a receiver, as browsers want it
      const answer = await fetch(this.config.baseUrl + path, { method, headers, signal: aborter.signal, ...(body ? { body } : {}) });
      if (!answer.ok) {
        void answer.body?.cancel().catch(() => undefined);
        throw this.#refused(answer, `${method} ${path.split("?")[0]}`);
      }
      return JSON.parse(await readBounded(answer)) as unknown;
    } catch (e) {
      if (e instanceof SyntaxError) throw malformed("is no JSON", e);
      throw asError(aborter.signal.aborted ? aborter.signal.reason : e);
    } finally {
      cancel();
      signal.removeEventListener("abort", abort);
    }
  }

  #refused(answer: Response, what: string): RealtimeError {
    const wait = retryAfter(answer.headers.get("Retry-After"), this.config.clock.now());
    if (wait !== undefined && (answer.status === 429 || answer.status === 503)) {
      this.#heldUntil = Math.max(this.#heldUntil, this.config.clock.now() + wait);
    }
    return new RealtimeError(codeOf(answer.status), `${what}: the server answered ${answer.status}`, answer.status, wait);
  }
}

function codeOf(status: number): ErrorCode {
  if (status === 401) return "unauthorized";
  if (status === 403) return "forbidden";
  if (status === 404) return "not_found";
  if (status === 429) return "rate_limited";
  return status >= 400 && status < 500 && status !== 408 && status !== 425 ? "rejected" : "unavailable";
}

function retryAfter(header: string | null, now: number): number | undefined {
  if (header === null) return undefined;
  const ms = /^\d+$/.test(header.trim()) ? Number(header) * 1000 : Date.parse(header) - now;
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(ms, 0), maxWait);
}

async function readBounded(answer: Response): Promise<string> {
  if (!answer.body) return answer.text();
  const reader = answer.body.getReader();
  const decoder = new TextDecoder();
  let size = 0;
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return text + decoder.decode();
    size += value.byteLength;
    if (size > maxAnswer) {
      void reader.cancel().catch(() => undefined);
      throw new RealtimeError("rejected", `an answer is larger than ${maxAnswer} bytes`);
    }
    text += decoder.decode(value, { stream: true });
  }
}

function data(answer: unknown): Readonly<Record<string, unknown>> {
  if (!isFields(answer) || !isFields(answer["data"])) throw malformed("has no data");
  return answer["data"];
}

/** Reads a page behind after. That of a task has a next only when more follows; that of many tasks always has one, and says more beside it. */
function readPage(page: Readonly<Record<string, unknown>>, after: number): Page {
  if (!Array.isArray(page["events"])) throw malformed("has no events");
  const events = page["events"] as unknown[];
  if (!events.every(isLogEvent)) throw malformed("has an event that cannot be read");
  const { next, more = next !== undefined } = page;
  if (next !== undefined && !isSequence(next)) throw malformed("has a next that is no whole number");
  return { events, next: next ?? events.at(-1)?.seq ?? after, more: more === true, reset: page["reset"] === true };
}

function isSequence(v: unknown): v is number {
  return Number.isSafeInteger(v) && (v as number) >= 0;
}

function isLogEvent(e: unknown): e is LogEvent {
  return (
    isFields(e) && Number.isSafeInteger(e["seq"]) && typeof e["type"] === "string" && typeof e["time"] === "string" && typeof e["task_id"] === "string"
  );
}

function malformed(what: string, cause?: unknown): RealtimeError {
  return new RealtimeError("malformed", `the server's answer ${what}`, undefined, undefined, { cause });
}
