import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";

import Pusher from "pusher-js";

import { Core } from "../src/core.js";
import type { Reader } from "../src/reader.js";
import { ChannelsServer } from "./channels-server.js";
import { expected, Log, work } from "./log.js";
import { random } from "./time.js";

const fast = { auditEvery: 1_000, pollAfter: 200, pollMin: 50, pollMax: 300, gap: 5, retryMin: 10, retryMax: 100 };

/** Waits up to 20 s. */
async function until(what: string, done: () => boolean): Promise<void> {
  for (let i = 0; i < 2_000; i++) {
    if (done()) return;
    await setTimeout(10);
  }
  assert.fail(`waited in vain until ${what}`);
}

for (let seed = 1; seed <= 8; seed++) {
  test(`pusher-js over connections that break: once and in order, seed ${seed}`, async (t) => {
    const r = random(seed);
    const log = new Log(r);
    const server = new ChannelsServer(log, r, 0.1);
    const { url, host, port } = await server.listen();
    t.after(() => server.close());
    let token = "old";
    const refresh = ({ refresh }: { refresh: boolean }): string => (token = refresh ? "token" : token);
    const core = new Core({ baseUrl: url, token: refresh, pusher: { key: "key", host, port, tls: false } }, { tuning: fast });
    t.after(() => core.close());
    const given = new Map<string, number[]>();
    const readers: Reader[] = [];
    for (const order of ["proven", "live"] as const) {
      for (const channel of ["private-task-watched", "private-user-ann", "private-org-school"]) {
        const list: number[] = [];
        given.set(`${channel} ${order}`, list);
        const options = { order, onEvent: (e: { seq: number }): void => void list.push(e.seq) };
        const scope = channel.split("-")[1];
        readers.push(scope === "task" ? core.task("watched", options) : scope === "user" ? core.user("ann", options) : core.org("school", options));
      }
    }
    await work(log, r, 60, async () => {
      await setTimeout(r() * 60);
      if (r() < 0.06) server.cut();
    });
    const same = (): boolean => [...given].every(([name, got]) => expected(log, name.split(" ")[0]!).join() === got.join());
    await until("all events were given", same).catch(() => undefined);
    for (const [name, got] of given) assert.deepEqual(got, expected(log, name.split(" ")[0]!), name);
    await until("the task's subscriptions close", () => readers.filter((x) => x.state === "closed").length === 2);
    await until("the others are live", () => readers.filter((x) => x.state === "live").length === 4);
    await until("the task's channel is left", () => server.subscriptions === 2);
    core.close();
    await until("the connection is closed", () => server.connections === 0);
    assert.equal(core.size, 0);
    });
}

test("without push the history is polled, and push takes over when it is there", async (t) => {
  const r = random(1);
  const log = new Log(r);
  const server = new ChannelsServer(log, r, 0);
  server.push = false;
  const { url, host, port } = await server.listen();
  t.after(() => server.close());
  const core = new Core({ baseUrl: url, token: () => "token", pusher: { key: "key", host, port, tls: false } }, { tuning: fast });
  t.after(() => core.close());
  const given: number[] = [];
  const user = core.user("ann", { onEvent: (e) => void given.push(e.seq) });
  log.append("b", "task.queued");
  await until("the first event is polled", () => given.length === 1);
  assert.equal(user.state, "connecting");
  server.push = true;
  await until("it is live", () => user.state === "live");
  log.append("b", "task.started");
  await until("the second event is pushed", () => given.length === 2);
  core.close();
});

test("after close nothing keeps the process or the Pusher instance", async (t) => {
  const log = new Log(random(1));
  const server = new ChannelsServer(log, random(1), 0);
  const { url, host, port } = await server.listen();
  t.after(() => server.close());
  const program = `
    const { Realtime } = await import(${JSON.stringify(new URL("../../dist/index.js", import.meta.url).href)});
    const pusher = { key: "key", host: "${host}", port: ${port}, tls: false };
    const realtime = new Realtime({ baseUrl: "${url}", token: () => "token", pusher });
    await new Promise((live) => realtime.user("ann", { onState: (s) => s === "live" && live() }));
    realtime.close();
  `;
  const child = spawn(process.execPath, ["--input-type=module", "-e", program], { stdio: "inherit" });
  const code = await new Promise((resolve) => child.on("exit", resolve));
  assert.equal(code, 0);
  const core = new Core({ baseUrl: url, token: () => "token", pusher: { key: "key", host, port, tls: false } });
  t.after(() => core.close());
  const user = core.user("ann", {});
  await until("it is live", () => user.state === "live");
  const instances = (Pusher as unknown as { instances: unknown[] }).instances.length;
  core.close();
  assert.equal((Pusher as unknown as { instances: unknown[] }).instances.length, instances - 1);
});

test("the example of README.md runs", async (t) => {
  const log = new Log(random(1));
  const server = new ChannelsServer(log, random(1), 0);
  const { url, host, port } = await server.listen();
  t.after(() => server.close());
  log.append("watched", "task.queued", { kind: "quiz" });
  const env = { ...process.env, TOOLBOXAI_URL: url, TOOLBOXAI_TOKEN: "token", PUSHER_KEY: "key", PUSHER_HOST: host, PUSHER_PORT: String(port) };
  const child = spawn(process.execPath, ["build/examples/watch.js", "watched"], { env, stdio: ["ignore", "pipe", "inherit"] });
  let out = "";
  child.stdout.on("data", (chunk) => (out += chunk));
  await until("it has begun", () => out.includes("task.created"));
  log.append("watched", "task.completed", { attempt: 1, result: { title: "Vesuvius" } });
  const code = await new Promise((resolve) => child.on("exit", resolve));
  assert.deepEqual([code, out.includes("task.completed"), out.includes("Vesuvius")], [0, true, true], out);
});
