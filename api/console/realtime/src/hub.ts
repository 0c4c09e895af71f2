import type { Api, ChannelAuth } from "./api.js";
import { backoff, type Clock } from "./clock.js";
import { asError, RealtimeError } from "./errors.js";
import type { Authorize, PusherChannelLike, PusherFactory, PusherLike } from "./pusher.js";

/** Hears what happens on one channel. */
export interface Listener {
  message(event: string, data: unknown): void;
  /** The channel is subscribed, for the first time or again: what comes from now on is heard. */
  up(): void;
  /** Nothing is heard any more. The connection is tried again all the time; gone says that it will take a while. */
  down(gone: boolean): void;
  /** Nobody here may join the channel, or there is none. */
  refused(error: RealtimeError): void;
}

/** One channel and who listens to it. */
interface Room {
  readonly channel: PusherChannelLike;
  readonly listeners: Set<Listener>;
  readonly heard: (event: string, data: unknown) => void;
  failures: number;
  lastError: RealtimeError | undefined;
  cancelRetry: () => void;
}

const answerTimeout = 15_000; // ms for the server to confirm a subscription
const retryMin = 1_000;
const retryMax = 60_000;
const nothing = (): void => undefined;

/** Shares one Pusher connection among subscriptions, and mends what pusher-js leaves broken: it never repeats an authorization that failed. */
export class Hub {
  readonly #rooms = new Map<string, Room>();
  readonly #aborter = new AbortController();
  readonly #waiting = new Map<Listener, string>(); // until there is a Pusher instance
  #pusher: PusherLike | undefined;
  #broken: RealtimeError | undefined;

  constructor(
    factory: PusherFactory,
    private readonly api: Api,
    private readonly clock: Clock,
  ) {
    void this.#open(factory);
  }

  async #open(factory: PusherFactory): Promise<void> {
    try {
      const pusher = await factory(this.#authorize);
      if (this.#aborter.signal.aborted) return pusher.disconnect();
      this.#pusher = pusher;
      pusher.connection.bind("state_change", this.#changed);
    } catch (e) {
      this.#broken = new RealtimeError("push", `there is no Pusher client: ${asError(e).message}`, undefined, undefined, { cause: e });
    }
    for (const [listener, name] of this.#waiting) this.join(name, listener);
    this.#waiting.clear();
  }

  /** Lets listener hear the channel until what is returned is called. */
  join(name: string, listener: Listener): () => void {
    if (this.#broken) listener.down(true);
    else if (!this.#pusher) this.#waiting.set(listener, name);
    else this.#enter(this.#pusher, name, listener);
    return () => this.#leave(name, listener);
  }

  close(): void {
    this.#aborter.abort();
    this.#waiting.clear();
    for (const [name, room] of [...this.#rooms]) this.#drop(name, room);
    this.#pusher?.connection.unbind("state_change", this.#changed);
    this.#pusher?.disconnect();
    this.#pusher = undefined;
  }

  #enter(pusher: PusherLike, name: string, listener: Listener): void {
    let room = this.#rooms.get(name);
    if (!room) {
      const heard = (event: string, data: unknown): void => this.#heard(name, event, data);
      const channel = pusher.subscribe(name);
      room = { channel, listeners: new Set(), heard, failures: 0, lastError: undefined, cancelRetry: nothing };
      this.#rooms.set(name, room);
      channel.bind_global(heard);
    }
    room.listeners.add(listener);
    if (room.channel.subscribed) listener.up();
    else if (isGone(pusher.connection.state)) listener.down(true);
  }

  #leave(name: string, listener: Listener): void {
    this.#waiting.delete(listener);
    const room = this.#rooms.get(name);
    if (room?.listeners.delete(listener) && room.listeners.size === 0) this.#drop(name, room);
  }

  #drop(name: string, room: Room): void {
    room.cancelRetry();
    room.listeners.clear();
    room.channel.unbind_global(room.heard);
    this.#rooms.delete(name);
    this.#pusher?.unsubscribe(name);
  }

  #heard(name: string, event: string, data: unknown): void {
    const room = this.#rooms.get(name);
    if (!room) return;
    if (event === "pusher:subscription_succeeded") {
      room.cancelRetry();
      room.failures = 0;
      for (const l of [...room.listeners]) l.up();
    } else if (event === "pusher:subscription_error") {
      const error = room.lastError ?? new RealtimeError("push", `the Channels server refuses ${name}`);
      room.lastError = undefined;
      if (!error.retryable && error.code !== "not_found" && error.code !== "rejected") for (const l of [...room.listeners]) l.refused(error);
      else this.#retry(name, room, error.retryAfter);
    } else if (!event.startsWith("pusher")) {
      for (const l of [...room.listeners]) l.message(event, data);
    }
  }

  /** Subscribes anew after a while, unless the connection was lost by then: pusher-js subscribes by itself when it is back. */
  #retry(name: string, room: Room, atLeast = 0): void {
    for (const l of [...room.listeners]) l.down(true);
    this.#again(name, room, backoff(this.clock, ++room.failures, retryMin, retryMax, atLeast));
  }

  #again(name: string, room: Room, ms: number): void {
    const socket = this.#pusher?.connection.socket_id;
    room.cancelRetry();
    room.cancelRetry = this.clock.after(ms, () => {
      const connection = this.#pusher?.connection;
      if (this.#rooms.get(name) !== room || room.channel.subscribed) return;
      if (connection?.state === "connected" && connection.socket_id === socket) room.channel.subscribe();
    });
  }

  readonly #changed = (change: unknown): void => {
    const state = (change as { current: string }).current;
    if (state === "connected") return;
    for (const room of this.#rooms.values()) {
      room.cancelRetry();
      for (const l of [...room.listeners]) l.down(isGone(state));
    }
  };

  readonly #authorize: Authorize = ({ socketId, channelName }, callback) => {
    void this.#answer(socketId, channelName).then((answer) => {
      const connection = this.#pusher?.connection;
      if (connection?.state !== "connected" || connection.socket_id !== socketId) return; // the next connection subscribes by itself
      const room = this.#rooms.get(channelName);
      if (!room) {
        // pusher-js would keep a channel that was left while it was being authorized, and join it again.
        callback(new Error("nobody listens any more"), null);
        this.#pusher?.unsubscribe(channelName);
      } else if (answer instanceof RealtimeError) {
        room.lastError = answer;
        callback(answer, null);
      } else {
        this.#again(channelName, room, answerTimeout);
        callback(null, answer);
      }
    });
  };

  async #answer(socketId: string, name: string): Promise<ChannelAuth | RealtimeError> {
    await Promise.resolve(); // pusher-js asks before the room is there
    if (!this.#rooms.has(name)) return new RealtimeError("push", "nobody listens any more");
    try {
      return await this.api.authorize(socketId, name, this.#aborter.signal);
    } catch (e) {
      return asError(e);
    }
  }
}

function isGone(state: string): boolean {
  return state !== "connecting" && state !== "connected" && state !== "initialized";
}
