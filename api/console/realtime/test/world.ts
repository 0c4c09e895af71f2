import { Core } from "../src/core.js";
import type { RealtimeEvent } from "../src/event.js";
import type { Order, SubscribeOptions } from "../src/options.js";
import type { Reader } from "../src/reader.js";
import type { Tuning } from "../src/tuning.js";
import { type Faults, FakePusher, FakeServer, notify } from "./fakes.js";
import { expected, Log } from "./log.js";
import { random, VirtualClock } from "./time.js";

export type Scope = "task" | "user" | "org";

const channels: Record<Scope, string> = { task: "private-task-watched", user: "private-user-ann", org: "private-org-school" };

/** A subscription and what it was given. */
export interface Follower {
  readonly scope: Scope;
  readonly given: RealtimeEvent[];
  readonly errors: string[];
  readonly reader: Reader;
}

/** A server, its log and a client, all in virtual time. */
export class World {
  readonly clock: VirtualClock;
  readonly log: Log;
  readonly server: FakeServer;
  readonly core: Core;
  readonly followers: Follower[] = [];
  pusher!: FakePusher;

  constructor(
    seed: number,
    readonly faults: Faults,
    tuning: Partial<Tuning> = {},
  ) {
    this.clock = new VirtualClock(random(seed));
    this.log = new Log(this.clock.random, () => this.clock.now());
    this.server = new FakeServer(this.log, this.clock, faults);
    this.core = new Core(
      {
        baseUrl: "http://api.test/",
        token: this.server.getToken,
        fetch: ((input, init) => this.server.fetch(input, init)) as typeof fetch,
        pusher: (authorize) => (this.pusher = new FakePusher(this.clock, faults, authorize)),
      },
      { clock: this.clock, tuning },
    );
    for (const c of Object.values(channels)) void notify(this.log, c, this.clock, faults, (name, data) => this.pusher?.send(c, name, data));
  }

  follow(scope: Scope, order: Order, options: SubscribeOptions = {}): Follower {
    const given: RealtimeEvent[] = [];
    const errors: string[] = [];
    const all: SubscribeOptions = { order, onEvent: (e) => void given.push(e), onError: (e) => void errors.push(`${e.code} ${e.status}`), ...options };
    const reader =
      scope === "task" ? this.core.task("watched", all) : scope === "user" ? this.core.user("ann", all) : this.core.org("school", all);
    const f = { scope, given, errors, reader };
    this.followers.push(f);
    return f;
  }

  /** Says how what f was given differs from the log, or nothing. */
  difference(f: Follower): string | undefined {
    const want = expected(this.log, channels[f.scope]);
    const got = f.given.map((e) => e.seq);
    if (want.length === got.length && want.every((seq, i) => seq === got[i])) return undefined;
    return `${f.scope}: want ${want.join(" ")}\n  got ${got.join(" ")}\n  state ${f.reader.state}`;
  }
}
