import assert from "node:assert/strict";
import { test } from "node:test";

import { calm, type Faults, rough } from "./fakes.js";
import { work } from "./log.js";
import type { Tuning } from "../src/tuning.js";
import { World } from "./world.js";

const seeds = 500;

/** Lets a world with faults go on for a while, then one without, and returns how followers differ from the log then. */
async function live(seed: number, faults: Faults, tuning: Partial<Tuning> = {}): Promise<{ world: World; differences: string[] }> {
  const world = new World(seed, { ...faults }, tuning);
  const { clock } = world;
  for (const scope of ["task", "user", "org"] as const) for (const order of ["proven", "live"] as const) world.follow(scope, order);
  let done = false;
  void work(world.log, clock.random, 25, () => clock.sleep(clock.random() ** 2 * 6_000)).then(() => (done = true));
  await clock.run(600_000, () => done);
  await clock.run(10_000);
  Object.assign(world.faults, calm);
  await clock.run(600_000, () => world.followers.every((f) => !world.difference(f) && (f.scope !== "task" || f.reader.state === "closed")));
  await clock.run(60_000); // nothing more may come
  const differences = world.followers.map((f) => world.difference(f)).filter((d) => d !== undefined);
  for (const f of world.followers) if (f.scope === "task" && f.reader.state !== "closed") differences.push(`the task's subscription is ${f.reader.state}`);
  world.core.close();
  await clock.run(60_000, () => clock.timers === 0);
  return { world, differences };
}

test(`each subscriber is given its log once and in order, over ${seeds} seeds of faults`, async () => {
  let requests = 0;
  for (let seed = 0; seed < seeds; seed++) {
    const { world, differences } = await live(seed, rough);
    assert.deepEqual(differences, [], `seed ${seed}`);
    assert.ok(!world.followers.some((f) => f.given.some((e) => e.late)), `seed ${seed}: late`);
    requests += world.server.requests;
  }
  assert.ok(requests > seeds * 20);
});

test("order proven holds also when the server fails to push", async () => {
  for (let seed = 0; seed < 100; seed++) {
    const { world } = await live(seed, { ...rough, refuse: 0.2 });
    const proven = world.followers.filter((_, i) => i % 2 === 0);
    assert.deepEqual(proven.map((f) => world.difference(f)).filter((d) => d), [], `seed ${seed}`);
  }
});

test("with order live the audit finds what the server failed to push, and it is marked late", async () => {
  let late = 0;
  for (let seed = 0; seed < 100; seed++) {
    const { world } = await live(seed, { ...rough, refuse: 0.2 });
    for (const f of world.followers) {
      const inTime = f.given.filter((e) => !e.late).map((e) => e.seq);
      assert.deepEqual(inTime, inTime.toSorted((a, b) => a - b), `seed ${seed}`);
      const all = new Set(f.given.map((e) => e.seq));
      assert.equal(all.size, f.given.length, `seed ${seed}: repeated`);
      f.given.sort((a, b) => a.seq - b.seq);
      assert.equal(world.difference(f), undefined, `seed ${seed}`);
      late += f.given.filter((e) => e.late).length;
    }
  }
  assert.ok(late > 100, `${late} events were late`);
});

test("control: without the splice events repeat or come out of order", async () => {
  let wrong = 0;
  for (let seed = 0; seed < 20; seed++) wrong += (await live(seed, rough, { splice: false })).differences.length > 0 ? 1 : 0;
  assert.ok(wrong >= 19, `${wrong} of 20 seeds show it`);
});

test("control: without the audit what the server failed to push is lost", async () => {
  let wrong = 0;
  for (let seed = 0; seed < 20; seed++) {
    const { world } = await live(seed, { ...calm, refuse: 0.3 }, { auditEvery: 1e9 });
    wrong += world.followers.some((f) => f.scope !== "task" && world.difference(f)) ? 1 : 0;
  }
  assert.ok(wrong >= 15, `${wrong} of 20 seeds show it`);
});
