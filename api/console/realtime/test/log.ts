import type { LogEvent } from "../src/story.js";

export interface Entry extends LogEvent {
  readonly id: string;
  readonly source: string;
  readonly user: string;
  readonly tenant: string;
}

/** The server's log, and what it tells of it. Tasks share one sequence, in which there are holes. */
export class Log {
  readonly entries: Entry[] = [];
  readonly #seen: (() => void)[] = [];
  #seq = 0;

  constructor(
    private readonly random: () => number,
    private readonly now: () => number = Date.now,
  ) {}

  append(task: string, type: string, data: object = {}, user = "ann", tenant = "school"): Entry {
    this.#seq += 1 + Math.floor(this.random() * 4);
    const time = new Date(this.now()).toISOString();
    const e = { seq: this.#seq, id: `e${this.#seq}`, type, source: "test", time, task_id: task, data, user, tenant };
    this.entries.push(e);
    for (const f of this.#seen) f();
    return e;
  }

  onAppend(f: () => void): void {
    this.#seen.push(f);
  }

  /** What stands on a channel. */
  on(channel: string): Entry[] {
    const [, scope, ...rest] = channel.split("-");
    const id = rest.join("-");
    return this.entries.filter((e) => id === (scope === "task" ? e.task_id : scope === "user" ? e.user : e.tenant));
  }

  /** A page as the API answers it: one of a task has a next only when more follows. */
  page(channel: string, after: number, limit: number): { events: LogEvent[]; next?: number; more?: boolean } {
    const found = this.on(channel).filter((e) => e.seq > after);
    const events = found.slice(0, limit);
    const more = found.length > limit;
    const last = events.at(-1)?.seq;
    if (channel.startsWith("private-task-")) return more && last !== undefined ? { events, next: last } : { events };
    return { events, next: more && last !== undefined ? last : Math.max(after, this.#seq), more };
  }
}

const states: Record<string, [string, string]> = {
  "task.queued": ["task.created", "queued"],
  "task.started": ["task.started", "running"],
  "task.step": ["task.progress", "running"],
  "task.retrying": ["task.retrying", "retrying"],
  "task.completed": ["task.completed", "completed"],
  "task.failed": ["task.failed", "failed"],
};

/** The message of an event, or undefined when nobody is told of it. */
export function messageOf(e: LogEvent): { name: string; data: Record<string, unknown> } | undefined {
  const told = states[e.type];
  if (!told) return undefined;
  return { name: told[0], data: { task_id: e.task_id, kind: "quiz", state: told[1], attempt: 1, seq: e.seq, timestamp: e.time, data: { worker: "w" } } };
}

/** The sequences that a subscriber of the channel is to be given. */
export function expected(log: Log, channel: string): number[] {
  return log
    .on(channel)
    .filter(messageOf)
    .map((e) => e.seq);
}

/** Appends to the log what many tasks do, some of it told to nobody. "watched" ends last. */
export async function work(log: Log, random: () => number, events: number, sleep: () => Promise<void>): Promise<void> {
  const tasks = ["watched", "b", "c", "d"];
  const queued = { kind: "quiz", priority: "normal", dispatch: 1 };
  for (const t of tasks) log.append(t, "task.queued", queued, t === "d" ? "bob" : "ann", t === "c" ? "other" : "school");
  for (let i = 0; i < events; i++) {
    await sleep();
    const task = tasks[Math.floor(random() * tasks.length)]!;
    const type = ["task.started", "task.step", "task.retrying", "task.signalled"][Math.floor(random() * 4)]!;
    log.append(task, type, { attempt: 1, worker: "w" }, task === "d" ? "bob" : "ann", task === "c" ? "other" : "school");
  }
  await sleep();
  log.append("b", "task.failed", { attempts: 1, cause: "bug", error: "broken" });
  log.append("watched", "task.completed", { attempt: 1, result: { ok: true }, usage: {}, provenance: {} });
}
