import type { ChannelAuth } from "../src/api.js";
import type { Authorize, PusherChannelLike, PusherLike } from "../src/pusher.js";
import { type Log, messageOf } from "./log.js";
import type { VirtualClock } from "./time.js";

/** How often things go wrong, as parts of 1. */
export interface Faults {
  drop: number; // of the seconds in which the connection breaks
  deaf: number; // of the subscriptions that the server never answers
  repeat: number; // of the messages behind which the notifier begins again
  refuse: number; // of the messages that the notifier fails to send for good
  request: number; // of the requests that fail
  revoke: number; // of the requests that come with a token that has just been revoked, at most every 30 s
}

export const calm: Faults = { drop: 0, deaf: 0, repeat: 0, refuse: 0, request: 0, revoke: 0 };
export const rough: Faults = { drop: 0.05, deaf: 0.05, repeat: 0.15, refuse: 0, request: 0.2, revoke: 0.05 };

type Callback = (event: string, data: unknown) => void;

class Channel implements PusherChannelLike {
  subscribed = false;
  pending = false;
  cancelled = false;
  readonly callbacks = new Set<Callback>();

  constructor(
    readonly name: string,
    private readonly pusher: FakePusher,
  ) {}

  subscribe(): void {
    if (!this.subscribed) this.pusher.authorizeChannel(this);
  }

  bind_global(f: Callback): void {
    this.callbacks.add(f);
  }

  unbind_global(f: Callback): void {
    this.callbacks.delete(f);
  }

  emit(event: string, data: unknown): void {
    for (const f of [...this.callbacks]) f(event, data);
  }
}

/** Behaves as pusher-js does, over a connection that breaks. */
export class FakePusher implements PusherLike {
  readonly channels = new Map<string, Channel>();
  readonly #bound = new Map<string, Set<(data: unknown) => void>>();
  readonly connection = {
    state: "connecting",
    socket_id: "",
    bind: (event: string, f: (data: unknown) => void): unknown => (this.#bound.get(event) ?? this.#bound.set(event, new Set()).get(event)!).add(f),
    unbind: (event: string, f: (data: unknown) => void): unknown => this.#bound.get(event)?.delete(f),
  };
  #sockets = 0;
  #lineFree = 0;
  open = false; // whether the line is there
  disconnected = false;

  constructor(
    private readonly clock: VirtualClock,
    private readonly faults: Faults,
    private readonly auth: Authorize,
  ) {
    this.#connect();
    this.#break();
  }

  subscribe(name: string): Channel {
    let c = this.channels.get(name);
    if (!c) this.channels.set(name, (c = new Channel(name, this)));
    if (c.pending && c.cancelled) c.cancelled = false;
    else if (!c.pending && this.connection.state === "connected") c.subscribe();
    return c;
  }

  unsubscribe(name: string): void {
    const c = this.channels.get(name);
    if (c?.pending) c.cancelled = true;
    else this.channels.delete(name);
  }

  disconnect(): void {
    this.disconnected = true;
    this.open = false;
    this.#setState("disconnected");
  }

  /** Sends over the line, in order. */
  send(channel: string, event: string, data: unknown): void {
    const socket = this.#sockets;
    const c = this.channels.get(channel);
    if (!this.open || !c?.subscribed) return;
    this.#line(() => {
      if (this.open && socket === this.#sockets) c.emit(event, structuredClone(data));
    });
  }

  authorizeChannel(c: Channel): void {
    c.pending = true;
    c.cancelled = false;
    const socket = this.#sockets;
    this.auth({ socketId: this.connection.socket_id, channelName: c.name }, (error: Error | null, _: ChannelAuth | null) => {
      if (error) {
        c.pending = false;
        c.emit("pusher:subscription_error", { type: "AuthError", error: error.message });
      } else if (this.clock.random() >= this.faults.deaf) {
        this.#line(() => {
          if (!this.open || socket !== this.#sockets || c.subscribed) return;
          c.pending = false;
          c.subscribed = true;
          if (c.cancelled) this.unsubscribe(c.name);
          else c.emit("pusher:subscription_succeeded", {});
        });
      }
    });
  }

  #line(f: () => void): void {
    this.#lineFree = Math.max(this.#lineFree, this.clock.now() + this.clock.random() * 300) + 0.001;
    this.clock.after(this.#lineFree - this.clock.now(), f);
  }

  #break(): void {
    this.clock.after(1000, () => {
      if (this.disconnected) return;
      if (this.open && this.clock.random() < this.faults.drop) {
        this.open = false; // for a second nobody notices
        this.clock.after(1000, () => this.#connect());
      }
      this.#break();
    });
  }

  #connect(): void {
    if (this.disconnected) return;
    this.#setState("connecting");
    for (const c of this.channels.values()) c.subscribed = c.pending = false;
    const took = this.clock.random() ** 3 * 20_000 * (this.faults.drop > 0 ? 1 : 0) + 50;
    if (took > 10_000) this.clock.after(10_000, () => this.#setState("unavailable"));
    this.clock.after(took, () => {
      if (this.disconnected) return;
      this.open = true;
      this.connection.socket_id = `1.${++this.#sockets}`;
      this.#setState("connected");
      for (const name of [...this.channels.keys()]) this.subscribe(name);
    });
  }

  #setState(current: string): void {
    const previous = this.connection.state;
    this.connection.state = current;
    if (previous !== current) for (const f of [...(this.#bound.get("state_change") ?? [])]) f({ previous, current });
  }
}

/** Sends a channel's messages in order, each at least once. */
export async function notify(log: Log, channel: string, clock: VirtualClock, faults: Faults, send: (name: string, data: unknown) => void): Promise<void> {
  const refused = new Set<number>();
  for (let at = 0; ; ) {
    await clock.sleep(clock.random() ** 4 * 1500 + 1);
    const e = log.on(channel)[at];
    if (!e) {
      await new Promise<void>((resolve) => log.onAppend(resolve));
      continue;
    }
    at++;
    const m = messageOf(e);
    if (m && clock.random() < faults.refuse) refused.add(e.seq);
    if (m && !refused.has(e.seq)) send(m.name, m.data);
    if (clock.random() < faults.repeat) at = Math.max(0, at - 1 - Math.floor(clock.random() * 4));
  }
}

/** Answers as the API does, late and not always. */
export class FakeServer {
  token = 1;
  requests = 0;
  #revoked = 0;
  readonly tokens: number[] = [];

  constructor(
    private readonly log: Log,
    private readonly clock: VirtualClock,
    private readonly faults: Faults,
  ) {}

  readonly getToken = ({ refresh }: { refresh: boolean }): string => {
    if (refresh) this.tokens.push(this.token);
    return `t${this.tokens.at(-1) ?? 1}`;
  };

  readonly fetch = async (input: unknown, init: RequestInit = {}): Promise<Response> => {
    this.requests++;
    const url = new URL(String(input));
    await this.clock.sleep(this.clock.random() ** 3 * 1500);
    init.signal?.throwIfAborted();
    const answer = this.#answer(url, new Headers(init.headers));
    await this.clock.sleep(this.clock.random() ** 3 * 1500);
    init.signal?.throwIfAborted();
    if (answer === "broken") throw new TypeError("fetch failed");
    return answer;
  };

  #answer(url: URL, headers: Headers): Response | "broken" {
    if (this.clock.random() < this.faults.revoke && this.clock.now() - this.#revoked > 30_000) {
      this.token++;
      this.#revoked = this.clock.now();
    }
    if (headers.get("Authorization") !== `Bearer t${this.token}`) return new Response("{}", { status: this.clock.random() < 0.5 ? 401 : 403 });
    if (this.clock.random() < this.faults.request) {
      const kind = Math.floor(this.clock.random() * 5);
      if (kind === 0) return "broken";
      if (kind === 1) return new Response("{}", { status: 429, headers: { "Retry-After": "3" } });
      if (kind === 2) return new Response("<html>", { status: 200 });
      return new Response("{}", { status: kind === 3 ? 500 : 503 });
    }
    if (url.pathname === "/api/v1/pusher/auth") return Response.json({ auth: "key:signature" });
    const task = /^\/api\/v1\/tasks\/([^/]+)\/events$/.exec(url.pathname)?.[1];
    const scope = url.searchParams.get("scope");
    const channel = task ? `private-task-${task}` : scope === "user" ? "private-user-ann" : "private-org-school";
    const limit = Math.min(Number(url.searchParams.get("limit")), 1 + Math.floor(this.clock.random() * 20));
    return Response.json({ status: "success", data: this.log.page(channel, Number(url.searchParams.get("after")), limit) });
  }
}
