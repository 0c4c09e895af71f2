import type { TokenRequest } from "./api.js";
import type { RealtimeError } from "./errors.js";
import type { Progress, RealtimeEvent, TextPlace } from "./event.js";
import type { PusherFactory, PusherServer } from "./pusher.js";

/** What a log line is written with; console fits. */
export interface Logger {
  debug(message: string, fields?: object): void;
  warn(message: string, fields?: object): void;
}

export interface RealtimeOptions {
  /** Of the API, such as https://school.example: without /api/v1. */
  baseUrl: string;
  /** The Channels server, or what makes a Pusher instance of one's own. */
  pusher: PusherServer | PusherFactory;
  /** Returns the bearer token. It is asked before every request, so it should remember it; with refresh it was refused with 401 or 403. */
  token: (request: TokenRequest) => string | Promise<string>;
  /** Default: the global one. */
  fetch?: typeof fetch;
  /** Default: none. */
  logger?: Logger;
  /** Closes everything when it is aborted. */
  signal?: AbortSignal;
}

/** The state of a subscription. */
export type SubscriptionState =
  | "connecting" // nothing is pushed; after a few seconds the history is polled
  | "catching-up" // the channel is joined, what was missed is being fetched
  | "live"
  | "closed" // by close(), by its signal, or because the task ended
  | "failed"; // for good: not allowed, or no such task

/**
 * When a pushed event is given.
 *
 *  - "proven": when the history has confirmed that nothing is missing in front of it. Costs a request for each burst of events.
 *  - "live": at once. An audit of the history every 30 s finds what the server failed to push, which then comes late and is marked so.
 */
export type Order = "proven" | "live";

/** All of it is optional. Handlers are called one at a time; what they throw goes to onError. */
export interface SubscribeOptions {
  /** An event of the log. The next one waits for the promise that it returns. */
  onEvent?: (event: RealtimeEvent) => void | Promise<void>;
  /** A piece of what the models of a task write. */
  onText?: (text: string, place: TextPlace) => void;
  onProgress?: (progress: Progress) => void;
  onState?: (state: SubscriptionState) => void;
  /** The first of the failures that follow each other, and the one that ends the subscription. */
  onError?: (error: RealtimeError) => void;
  /** The log no longer holds all that followed `after`: read anew what you show. Events go on with what comes from now on. */
  onReset?: (after: number) => void;
  /** Give only what follows this sequence. Default 0: all that the log holds. */
  after?: number;
  /** Default: "proven" for a task, "live" for a user and a tenant. */
  order?: Order;
  /** How many events wait for an iterator before the subscription pauses. Default 256. */
  buffer?: number;
  /** Closes the subscription when it is aborted. */
  signal?: AbortSignal;
}

/** Events of one task, user or tenant: handlers get them, or the one iterator. Leaving the loop closes the subscription. */
export interface Subscription extends AsyncIterable<RealtimeEvent> {
  readonly state: SubscriptionState;
  /** The sequence of the last event that was given: `after` for the next time. */
  readonly last: number;
  /** Frees everything at once and calls no handler but onState any more. Calling it again does nothing. */
  close(): void;
}
