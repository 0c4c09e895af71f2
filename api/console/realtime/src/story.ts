// The server tells subscribers less than its log holds: no inputs, no steps' outputs. What comes from the history is cut to the same shape here, so
// that an event looks the same by either way. testdata/stories.json, written by the server's own code, holds both sides together.

import { isToken } from "./channel.js";
import { type EventName, isEventName, type Progress, type RealtimeEvent, type TaskState } from "./event.js";

/** An event as the API's history answers it. */
export interface LogEvent {
  readonly seq: number;
  readonly type: string;
  readonly time: string;
  readonly task_id: string;
  readonly data: unknown;
}

type Fields = Readonly<Record<string, unknown>>;
type Told = { name: EventName; state: TaskState; attempt?: unknown; progress?: number; message?: unknown; data?: Fields; elsewhere?: boolean };

/** What of a message is not on the log. */
export type Volatile = { readonly name: "task.progress"; readonly progress: Progress } | { readonly name: "task.text"; readonly text: TextPiece };

/** A piece of the text that a task's models write. Offsets count UTF-16 code units, as strings here do. */
export interface TextPiece {
  readonly task_id: string;
  readonly attempt: number;
  readonly step: string;
  /** Sequence of the attempt's task.started: with round it names the run of the pen. The attempt stands for it where it is missing. */
  readonly started?: number;
  readonly round?: number;
  readonly offset: number;
  readonly text: string;
  /** Where this run of the pen began; without started, that the text is to be cut there now. */
  readonly rollback_to?: number;
}

/** Returns what the log's event tells, or undefined for one that is told to nobody: task.signalled, and types that this version does not know. */
export function fromLog(e: LogEvent, kind: string | undefined): RealtimeEvent | undefined {
  const p = isFields(e.data) ? e.data : {};
  const told = tell(e.type, p);
  if (!told) return undefined;
  const ownKind = e.type === "task.queued" && typeof p["kind"] === "string" ? p["kind"] : kind;
  return compact<RealtimeEvent>({
    seq: e.seq,
    name: told.name,
    task_id: e.task_id,
    kind: ownKind ?? "unknown",
    state: told.state,
    attempt: typeof told.attempt === "number" ? told.attempt : 0,
    progress: told.progress,
    message: typeof told.message === "string" ? clip(told.message) || undefined : undefined,
    data: told.data,
    data_ref: told.elsewhere || !isFields(e.data) ? taskPath(e.task_id) : undefined,
    timestamp: e.time,
  });
}

function tell(type: string, p: Fields): Told | undefined {
  switch (type) {
    case "task.queued":
      return queued(p);
    case "task.started":
      return { name: "task.started", state: "running", attempt: p["attempt"], data: pick(p, "dispatch", "worker") };
    case "task.step":
      return {
        name: "task.progress",
        state: "running",
        attempt: p["attempt"],
        data: compact({ step: p["name"], duration_ms: p["duration_ms"], usage: p["usage"], provenance: p["provenance"] }),
      };
    case "task.retrying":
      return { name: "task.retrying", state: "retrying", attempt: p["attempt"], message: p["error"], data: pick(p, "cause", "next_at") };
    case "task.waiting":
      return {
        name: "task.waiting",
        state: "waiting",
        attempt: p["attempt"],
        message: p["message"],
        data: compact({ for: p["wait"], name: p["name"] || undefined, until: p["until"] }),
      };
    case "task.completed":
      return {
        name: "task.completed",
        state: "completed",
        attempt: p["attempt"],
        progress: 100,
        data: pick(p, "result", "usage", "provenance"),
        elsewhere: p["result_ref"] !== undefined && p["result_ref"] !== null,
      };
    case "task.failed":
      return { name: "task.failed", state: "failed", attempt: p["attempts"], message: p["error"], data: pick(p, "cause", "usage") };
    case "task.cancelled":
      return { name: "task.cancelled", state: "cancelled", message: p["reason"], data: pick(p, "by") };
    case "task.discarded":
      return { name: "task.discarded", state: "failed", message: p["reason"], data: pick(p, "by") };
    default:
      return undefined;
  }
}

function queued(p: Fields): Told {
  if (isFields(p["resume"])) {
    const resume = p["resume"];
    return { name: "task.resumed", state: "queued", message: resume["why"], data: compact({ dispatch: p["dispatch"], for: resume["wait"] }) };
  }
  const labels = isFields(p["labels"]) && Object.keys(p["labels"]).length > 0 ? p["labels"] : undefined;
  return {
    name: "task.created",
    state: "queued",
    data: compact({
      ...pick(p, "priority", "dispatch", "deadline", "replay", "origin"),
      labels,
      run_at: p["not_before"],
    }),
  };
}

/** Reads a message of a private channel. It is undefined when its event is one that this version does not know, and throws when it is malformed. */
export function fromMessage(name: string, payload: unknown): RealtimeEvent | Volatile | undefined {
  if (name === "task.text") return { name, text: textPiece(payload) };
  if (!isEventName(name)) return undefined;
  if (!isFields(payload)) throw new TypeError(`${name} is no object`);
  const p = payload;
  const attempt = typeof p["attempt"] === "number" ? p["attempt"] : 0;
  const base = {
    task_id: taskId(p),
    kind: typeof p["kind"] === "string" ? p["kind"] : "unknown",
    attempt,
    progress: typeof p["progress"] === "number" ? p["progress"] : undefined,
    message: typeof p["message"] === "string" ? p["message"] : undefined,
    timestamp: text(p, "timestamp"),
  };
  const data = isFields(p["data"]) ? p["data"] : undefined;
  if (p["seq"] === undefined) {
    if (name !== "task.progress") throw new TypeError(`${name} has no seq`);
    const step = typeof data?.["step"] === "string" ? data["step"] : undefined;
    return { name, progress: compact<Progress>({ ...base, step }) };
  }
  const data_ref = typeof p["data_ref"] === "string" ? p["data_ref"] : undefined;
  return compact<RealtimeEvent>({ seq: whole(p, "seq"), name, state: text(p, "state") as TaskState, ...base, data, data_ref });
}

/** A piece's fields stand in the message's data, or beside task_id. */
function textPiece(payload: unknown): TextPiece {
  if (!isFields(payload)) throw new TypeError("task.text is no object");
  const p = isFields(payload["data"]) ? { ...payload, ...payload["data"] } : payload;
  const optional = (field: string): number | undefined => (p[field] === undefined ? undefined : whole(p, field));
  return compact<TextPiece>({
    task_id: taskId(p),
    attempt: whole(p, "attempt"),
    step: text(p, "step"),
    started: optional("started"),
    round: optional("round"),
    offset: whole(p, "offset"),
    text: text(p, "text"),
    rollback_to: optional("rollback_to"),
  });
}

export function isVolatile(m: RealtimeEvent | Volatile): m is Volatile {
  return !("seq" in m);
}

export function isFields(v: unknown): v is Fields {
  return typeof v === "object" && v !== null && !Array.isArray(v);
}

export function taskPath(id: string): string {
  return "/api/v1/tasks/" + id;
}

/** A task's id stands in paths of the API. */
function taskId(p: Fields): string {
  const id = text(p, "task_id");
  if (!isToken(id)) throw new TypeError("task_id is no token");
  return id;
}

function text(p: Fields, field: string): string {
  const v = p[field];
  if (typeof v !== "string") throw new TypeError(`${field} is no string`);
  return v;
}

function whole(p: Fields, field: string): number {
  const v = p[field];
  if (!Number.isSafeInteger(v) || (v as number) < 0) throw new TypeError(`${field} is no whole number`);
  return v as number;
}

function pick(p: Fields, ...fields: string[]): Fields {
  return compact(Object.fromEntries(fields.map((f) => [f, p[f] ?? undefined])));
}

/** Returns v without the fields that are undefined. */
function compact<T extends object = Fields>(v: { readonly [K in keyof T]: T[K] | undefined } | Fields): T {
  return Object.fromEntries(Object.entries(v).filter(([, value]) => value !== undefined)) as T;
}

const maxText = 1000;

/** Cuts a message to 1,000 bytes between characters, as the server does. */
function clip(s: string): string {
  if (s.length * 3 <= maxText) return s;
  const bytes = new TextEncoder().encode(s);
  if (bytes.length <= maxText) return s;
  let cut = maxText - 3;
  while (cut > 0 && (bytes[cut]! & 0xc0) === 0x80) cut--;
  return new TextDecoder().decode(bytes.subarray(0, cut)) + "…";
}
