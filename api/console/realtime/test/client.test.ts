import assert from "node:assert/strict";
import { test } from "node:test";

import type { RealtimeError } from "../src/errors.js";
import type { RealtimeEvent } from "../src/event.js";
import { calm, type Faults } from "./fakes.js";
import { expected, messageOf } from "./log.js";
import { World } from "./world.js";

const steps = (w: World, n: number): void => {
  for (let i = 0; i < n; i++) w.log.append("watched", "task.step", { attempt: 1, name: `s${i}`, duration_ms: 1 });
};

/** Returns a world whose API answers what answer says, where it says something. */
function worldThat(answer: (path: string, init: RequestInit, w: World) => Response | undefined, faults: Faults = calm): World {
  const w: World = new World(1, { ...faults });
  const { fetch } = w.server;
  const stub = async (input: unknown, init: RequestInit): Promise<Response> =>
    answer(new URL(String(input)).pathname, init, w) ?? fetch(input, init);
  (w.server as { fetch: unknown }).fetch = stub;
  return w;
}

test("memory is bounded however much is pushed while the reader stands still", async () => {
  const w = new World(1, { ...calm }, { waiting: 50, unproven: 60, tasks: 20 });
  const iterated = w.follow("org", "live", { onEvent: undefined as never, buffer: 10 });
  await w.clock.run(5_000);
  assert.equal(iterated.reader.state, "live");
  for (let i = 0; i < 5_000; i++) {
    const e = w.log.append(`t${i}`, "task.step", { attempt: 1 });
    w.pusher.send("private-org-school", "task.progress", messageOf(e)!.data);
    w.pusher.send("private-org-school", "task.text", { task_id: `t${i}`, attempt: 1, step: "s", offset: 0, text: "x" });
  }
  await w.clock.run(60_000);
  const { waiting, unproven, queued, tasks } = iterated.reader.size;
  assert.ok(waiting <= 50 && unproven <= 60 && queued <= 10 && tasks <= 20, JSON.stringify(iterated.reader.size));
  const got: number[] = [];
  void (async () => {
    for await (const e of iterated.reader) got.push(e.seq);
  })();
  await w.clock.run(600_000, () => got.length === 5_000);
  assert.deepEqual(got, expected(w.log, "private-org-school"));
  w.core.close();
});

test("a loop ends behind the event that ends the task, and leaving it early closes the subscription", async () => {
  const w = new World(1, { ...calm });
  const all: string[] = [];
  void (async () => {
    for await (const e of w.core.task("watched", {})) all.push(e.name);
    all.push("end");
  })();
  const early = w.core.task("watched", {});
  void (async () => {
    for await (const _ of early) break;
  })();
  w.log.append("watched", "task.queued", { kind: "quiz" });
  steps(w, 3);
  w.log.append("watched", "task.failed", { attempts: 1 });
  w.log.append("watched", "task.queued", { kind: "quiz", dispatch: 2 }); // replayed: the failure did not end it
  await w.clock.run(60_000);
  assert.equal(early.state, "closed");
  assert.ok(!all.includes("end"));
  w.log.append("watched", "task.completed", { attempt: 1, result: {} });
  await w.clock.run(60_000);
  assert.deepEqual(all, ["task.created", "task.progress", "task.progress", "task.progress", "task.failed", "task.created", "task.completed", "end"]);
  assert.equal(w.core.size, 0);
  w.core.close();
});

test("what was forbidden fails once, with one fresh token tried, and the loop throws", async () => {
  const auth: string[] = [];
  const w = worldThat((path, init) => {
    if (path !== "/api/v1/pusher/auth") return undefined;
    auth.push(String(init.body));
    return new Response("{}", { status: 403 });
  });
  w.server.token = 2; // the first token is refused
  const states: string[] = [];
  const sub = w.core.user("auth0|42", { onState: (s) => states.push(s) });
  const loop = (async () => {
    for await (const _ of sub);
  })();
  const failed = assert.rejects(loop, (e: RealtimeError) => e.code === "forbidden" && e.status === 403 && !e.retryable);
  await w.clock.run(60_000);
  await failed;
  assert.deepEqual(states, ["failed"]);
  assert.deepEqual(auth, Array(2).fill("socket_id=1.1&channel_name=private-user-auth0%3D7C42"));
  assert.equal(w.core.size, 0);
  w.core.close();
});

test("a task that is not there fails", async () => {
  const w = worldThat((path) => (path.endsWith("/events") ? new Response("{}", { status: 404 }) : undefined));
  const f = w.follow("task", "proven");
  await w.clock.run(60_000);
  assert.deepEqual([f.reader.state, f.errors], ["failed", ["not_found 404"]]);
  w.core.close();
});

test("Retry-After holds all requests back", async () => {
  const at: number[] = [];
  const w = worldThat((path, _, world) => {
    if (!path.endsWith("events")) return undefined;
    at.push(world.clock.now());
    return at.length === 1 ? new Response("{}", { status: 429, headers: { "Retry-After": "60" } }) : undefined;
  });
  w.follow("task", "proven");
  await w.clock.run(3_000, () => at.length === 1);
  w.follow("user", "live");
  await w.clock.run(200_000, () => at.length >= 3);
  assert.ok(at[1]! - at[0]! >= 60_000 && at[2]! - at[0]! >= 60_000, at.join());
  w.core.close();
});

test("data that was too large to be pushed or to stand in the log is fetched", async () => {
  const w = worldThat((path) =>
    path === "/api/v1/tasks/watched" ? Response.json({ status: "success", data: { state: "completed", result: { big: 1 } } }) : undefined,
  );
  const live = w.follow("user", "live");
  await w.clock.run(5_000);
  const e = w.log.append("watched", "task.completed", { attempt: 2, result_ref: {}, usage: {}, provenance: {} });
  w.pusher.send("private-user-ann", "task.completed", {
    task_id: "watched",
    state: "completed",
    seq: e.seq,
    data_ref: "/api/v1/tasks/watched",
    timestamp: e.time,
  });
  await w.clock.run(20_000);
  assert.equal(live.given.length, 1);
  const { data, data_ref, attempt } = live.given[0]!;
  assert.deepEqual([data, data_ref, attempt], [{ usage: {}, provenance: {}, result: { big: 1 } }, undefined, 2]);
  w.core.close();
});

test("when the log does not hold what followed any more, that is reported once, and events go on at the place that the answer names", async () => {
  for (const after of [1, 900]) { // 900 is a place in another log, which was longer
    let requests = 0;
    const w = worldThat((path) => {
      if (path !== "/api/v1/events" || ++requests > 1) return undefined;
      return Response.json({ status: "success", data: { events: [], next: w.log.entries[1]!.seq, more: false, reset: true } });
    });
    w.log.append("a", "task.queued", { kind: "quiz" });
    w.log.append("a", "task.started", { attempt: 1 });
    const third = w.log.append("a", "task.completed", { attempt: 1 });
    const resets: number[] = [];
    const f = w.follow("user", "live", { after, onReset: (at) => resets.push(at) });
    await w.clock.run(10_000);
    const fourth = w.log.append("b", "task.queued", { kind: "quiz" });
    await w.clock.run(10_000);
    assert.deepEqual([resets, f.given.map((e) => e.seq), f.reader.last], [[after], [third.seq, fourth.seq], fourth.seq]);
    w.core.close();
  }
});

test("a quiet history of many tasks is not read on and on", async () => {
  let requests = 0;
  const w = worldThat((path) => void (requests += path === "/api/v1/events" ? 1 : 0));
  w.log.append("a", "task.queued", { kind: "quiz" });
  const f = w.follow("user", "live");
  await w.clock.run(10_000);
  assert.deepEqual([requests, f.given.length], [1, 1]);
  w.core.close();
});

test("what the history never shows is given after a while all the same", async () => {
  const w = worldThat((path) => (path.endsWith("/events") ? Response.json({ data: { events: [] } }) : undefined));
  const f = w.follow("task", "proven");
  await w.clock.run(5_000);
  const e = w.log.append("watched", "task.queued");
  await w.clock.run(120_000);
  assert.deepEqual(f.given.map((x) => x.seq), [e.seq]);
  w.core.close();
});

test("text and progress pass at once, and not behind the end of their task", async () => {
  const w = new World(1, { ...calm });
  const heard: string[] = [];
  w.follow("user", "live", { onText: (t, p) => heard.push(`${p.offset} ${t}`), onProgress: (p) => heard.push(`${p.progress}%`) });
  await w.clock.run(5_000);
  const say = (progress: number): void => {
    const base = { task_id: "a", kind: "quiz", state: "running", attempt: 1, timestamp: "2025-09-01T00:00:00Z" };
    w.pusher.send("private-user-ann", "task.progress", { ...base, progress });
    w.pusher.send("private-user-ann", "task.text", { ...base, data: { attempt: 1, step: "s", started: 1, rollback_to: 0, offset: 0, text: "ab" } });
    w.pusher.send("private-user-ann", "task.text", { ...base, nonsense: true });
  };
  say(10);
  say(20);
  await w.clock.run(5_000);
  w.log.append("a", "task.failed", {});
  await w.clock.run(10_000);
  say(30);
  await w.clock.run(5_000);
  assert.deepEqual(heard, ["10%", "0 ab", "20%"]);
  w.core.close();
});

test("what handlers throw goes to onError and stops nothing; a slow one holds the next event back", async () => {
  const w = new World(1, { ...calm });
  let release = (): void => undefined;
  const given: RealtimeEvent[] = [];
  const f = w.follow("task", "proven", {
    onEvent: (e) => {
      given.push(e);
      if (given.length === 1) throw new Error("mine");
      return new Promise<void>((resolve) => (release = resolve));
    },
    onState: () => {
      throw new Error("also mine");
    },
  });
  steps(w, 3);
  await w.clock.run(60_000);
  assert.deepEqual([given.length, f.errors.includes("handler undefined")], [2, true]);
  release();
  await w.clock.run(60_000);
  assert.equal(given.length, 3);
  w.core.close();
});

test("a signal closes, and after close no timer, listener or channel is left", async () => {
  const w = new World(1, { ...calm });
  const one = new AbortController();
  w.follow("task", "proven", { signal: one.signal });
  w.follow("user", "live");
  await w.clock.run(5_000);
  one.abort();
  assert.equal(w.followers[0]!.reader.state, "closed");
  await w.clock.run(100);
  assert.deepEqual([...w.pusher.channels.keys()], ["private-user-ann"]);
  assert.equal(w.core.task("watched", { signal: one.signal }).state, "closed");
  w.core.close();
  w.core.close();
  await w.clock.run(20_000);
  const heard = [...w.pusher.channels.values()].filter((c) => c.callbacks.size > 0);
  assert.deepEqual([w.core.size, w.clock.timers, heard, w.pusher.disconnected], [0, 0, [], true]);
  assert.throws(() => w.core.user("ann", {}), /closed/);
});

test("options that cannot be right are refused with the field's name", () => {
  const w = new World(1, { ...calm });
  assert.throws(() => w.core.task("watched", { after: -1 }), /after/);
  assert.throws(() => w.core.task("watched", { buffer: 0 }), /buffer/);
  assert.throws(() => w.core.org("a.b", {}), /tenant/);
  w.core.close();
});
