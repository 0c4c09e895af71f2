/** The state of a task. */
export type TaskState = "queued" | "running" | "retrying" | "waiting" | "completed" | "failed" | "cancelled";

/** What happened to a task, as Pusher events name it. "task.progress" with a sequence says that a step is done. */
export type EventName =
  | "task.created"
  | "task.resumed"
  | "task.started"
  | "task.progress"
  | "task.retrying"
  | "task.waiting"
  | "task.completed"
  | "task.failed"
  | "task.cancelled"
  | "task.discarded";

/** One event of the log. A subscription gives each once, in the order of seq; whether it came by push or from the history makes no difference to it. */
export interface RealtimeEvent {
  /** Its sequence in the log, which all tasks share. */
  readonly seq: number;
  readonly name: EventName;
  readonly task_id: string;
  /** "unknown" when neither the message nor an earlier event says it. */
  readonly kind: string;
  /** The task's state behind this event. */
  readonly state: TaskState;
  /** 0 for what is not about an attempt. */
  readonly attempt: number;
  /** Percent. */
  readonly progress?: number;
  readonly message?: string;
  /** What belongs to the event's name: the result of task.completed, the cause of task.failed, and so on. */
  readonly data?: Readonly<Record<string, unknown>>;
  /** Path of the task. It stands here only when data could not be had: read the task there. */
  readonly data_ref?: string;
  /** RFC 3339. */
  readonly timestamp: string;
  /** The server failed to push this event, and an audit found it after later ones had been given. Only with order "live". */
  readonly late?: true;
}

/** How far a running attempt is. It is volatile: the latest there is, at most four times a second; it may be lost. */
export interface Progress {
  readonly task_id: string;
  readonly kind: string;
  readonly attempt: number;
  /** Percent. */
  readonly progress?: number;
  readonly message?: string;
  readonly step?: string;
  readonly timestamp: string;
}

/** Where a piece of text stands. */
export interface TextPlace {
  readonly task_id: string;
  readonly attempt: number;
  readonly step: string;
  /**
   * Where it begins in the task's text, in UTF-16 code units, as strings count. Whoever holds the text so far makes it
   * `shown.slice(0, offset).padEnd(offset, "…") + text`: that is right for pieces that continue it, for rollbacks, which cut it (then text may
   * be empty), and behind a gap.
   */
  readonly offset: number;
  /** Something in front of this was lost. Step and result hold all of it when they are there. */
  readonly partial: boolean;
}

const names: ReadonlySet<string> = new Set<EventName>([
  "task.created",
  "task.resumed",
  "task.started",
  "task.progress",
  "task.retrying",
  "task.waiting",
  "task.completed",
  "task.failed",
  "task.cancelled",
  "task.discarded",
]);

export function isEventName(name: string): name is EventName {
  return names.has(name);
}

/** Whether no attempt of the same dispatch follows. */
export function ends(name: EventName): boolean {
  return name === "task.completed" || name === "task.failed" || name === "task.cancelled" || name === "task.discarded";
}
