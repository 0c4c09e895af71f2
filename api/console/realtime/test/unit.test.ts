import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { orgChannel, taskChannel, userChannel } from "../src/channel.js";
import type { RealtimeEvent } from "../src/event.js";
import { Ledger } from "../src/ledger.js";
import { sha256Hex } from "../src/sha256.js";
import { fromLog, fromMessage, type LogEvent, type TextPiece } from "../src/story.js";
import { TextCursors } from "../src/text.js";
import { random } from "./time.js";

interface Vectors {
  readonly users: Record<string, string>;
  readonly stories: { readonly kind: string; readonly event: string; readonly message: unknown; readonly history: LogEvent }[];
}

// Written by the server's own code: see realtime_test.go.
const vectors = JSON.parse(readFileSync("testdata/vectors.json", "utf8")) as Vectors;

test("channels are named as the server names them", () => {
  for (const [id, want] of Object.entries(vectors.users)) assert.equal(userChannel(id), want);
  assert.ok(Object.keys(vectors.users).length >= 7);
  assert.equal(taskChannel("0198c0de"), "private-task-0198c0de");
  assert.equal(orgChannel("school"), "private-org-school");
  for (const bad of ["", "A", "a.b", "../x", "a".repeat(65)]) assert.throws(() => taskChannel(bad), /task id/);
  assert.throws(() => userChannel(""), /userId/);
});

test("SHA-256 is what node:crypto says it is, for every length up to three blocks", () => {
  for (let n = 0; n < 200; n++) {
    const data = Uint8Array.from({ length: n }, (_, i) => (i * 7 + n) & 255);
    assert.equal(sha256Hex(data), createHash("sha256").update(data).digest("hex"), `${n} bytes`);
  }
});

test("an event is the same from the history and from a message", () => {
  for (const { kind, event, message, history } of vectors.stories) {
    const told = fromMessage(event, message) as RealtimeEvent;
    const read = fromLog(history, kind)!;
    if (told.data_ref !== undefined && read.data_ref === undefined) {
      // Too large to be pushed: all but its data is.
      const { data_ref: _, ...rest } = told;
      const { data: __, ...other } = read;
      assert.deepEqual(rest, other, event);
    } else assert.deepEqual(told, read, event);
  }
  assert.equal(new Set(vectors.stories.map((s) => s.event)).size, 10);
});

test("malformed messages are refused with the field's name", () => {
  const good = { task_id: "t", kind: "quiz", state: "running", attempt: 1, seq: 4, timestamp: "2025-09-01T08:30:00Z" };
  assert.ok(fromMessage("task.started", good));
  assert.equal(fromMessage("task.paused", good), undefined);
  for (const [field, bad] of [["task_id", "../t"], ["task_id", 1], ["seq", -1], ["seq", 1.5], ["seq", "4"], ["state", null], ["timestamp", 0]] as const) {
    assert.throws(() => fromMessage("task.started", { ...good, [field]: bad }), new RegExp(field));
  }
  assert.throws(() => fromMessage("task.started", { ...good, seq: undefined }), /seq/);
  assert.throws(() => fromMessage("task.started", "text"), /object/);
});

test("a ledger forgets what is proven", () => {
  const l = new Ledger(10, 3);
  for (const seq of [12, 15, 13]) l.add(seq);
  assert.ok(l.full && l.last === 15 && l.has(9) && l.has(13) && !l.has(14));
  l.prove(13);
  assert.deepEqual([l.size, l.proven, l.has(12), l.has(14), l.has(15)], [1, 13, true, false, true]);
});

const piece = (run: number, offset: number, text: string, rollback_to = 0, round = 0): TextPiece => ({
  task_id: "t",
  attempt: run,
  step: "draft",
  started: run,
  round,
  offset,
  text,
  rollback_to,
});

/** Shows pieces as the documentation of TextPlace says. */
function show(pieces: TextPiece[]): { shown: string; partial: boolean } {
  const cursors = new TextCursors(4);
  let shown = "";
  let partial = false;
  for (const { text, place } of pieces.flatMap((p) => cursors.next(p))) {
    shown = shown.slice(0, place.offset).padEnd(place.offset, "…") + text;
    partial = place.partial;
  }
  return { shown, partial };
}

test("text is shown once, cut by rollbacks and marked behind a gap", () => {
  const cases: [string, TextPiece[], string, boolean][] = [
    ["pieces", [piece(1, 0, "ab"), piece(1, 2, "cd")], "abcd", false],
    ["repeats and overlaps", [piece(1, 0, "ab"), piece(1, 0, "ab"), piece(1, 1, "bcd"), piece(1, 0, "a")], "abcd", false],
    ["a gap", [piece(1, 0, "ab"), piece(1, 4, "ef"), piece(1, 6, "g")], "ab……efg", true],
    ["a new attempt", [piece(1, 0, "abcd"), piece(2, 1, "xy", 1)], "axy", false],
    ["a new attempt that says nothing yet", [piece(1, 0, "abcd"), piece(2, 2, "", 2), piece(1, 4, "old")], "ab", false],
    ["a round", [piece(1, 0, "abcd"), piece(1, 2, "x", 2, 1), piece(1, 3, "y", 2, 1), piece(1, 4, "old")], "abxy", false],
    ["a gap that is rolled back", [piece(1, 0, "ab"), piece(1, 4, "ef"), piece(2, 2, "cd", 2)], "abcd", false],
    ["astral characters", [piece(1, 0, "🌋"), piece(1, 0, "🌋é"), piece(1, 3, "x")], "🌋éx", false],
  ];
  for (const [name, pieces, want, partial] of cases) assert.deepEqual(show(pieces), { shown: want, partial }, name);
});

test("without a run's name the rollback of a piece cuts at once", () => {
  const plain = (offset: number, text: string, rollback_to?: number): TextPiece => ({
    task_id: "t",
    attempt: 1,
    step: "draft",
    offset,
    text,
    ...(rollback_to === undefined ? {} : { rollback_to }),
  });
  assert.equal(show([plain(0, "abcd"), plain(4, "", 2), plain(2, "x")]).shown, "abx");
});

test("pieces that are lost, repeated and come again show the whole text or say that they do not", () => {
  for (let seed = 0; seed < 300; seed++) {
    const r = random(seed);
    let truth = "";
    const sent: TextPiece[] = [];
    for (let run = 1; run <= 3; run++) {
      const back = Math.floor(r() * (truth.length + 1));
      truth = truth.slice(0, back);
      for (let i = 0; i < 8; i++) {
        const text = "abcdefgh".slice(0, 1 + Math.floor(r() * 7)) + run;
        sent.push(piece(run, truth.length, text, back));
        truth += text;
      }
    }
    const arrived: TextPiece[] = [];
    for (let i = 0; i < sent.length; i++) {
      if (r() < 0.9) arrived.push(sent[i]!);
      if (r() < 0.2) arrived.push(sent[Math.max(0, i - Math.floor(r() * 4))]!);
    }
    const { shown, partial } = show(arrived);
    if (shown.includes("…")) assert.ok(partial, `seed ${seed}`);
    else assert.ok(truth.startsWith(shown), `seed ${seed}: ${shown} is no beginning of ${truth}`);
  }
});
