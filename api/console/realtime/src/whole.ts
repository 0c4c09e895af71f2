import type { Api } from "./api.js";
import { backoff, type Clock, pause } from "./clock.js";
import { asError, type RealtimeError } from "./errors.js";
import type { RealtimeEvent } from "./event.js";
import { fromLog } from "./story.js";
import type { Tuning } from "./tuning.js";

const tries = 4;

/**
 * Returns e with the data that was too large to be pushed, or to stand in the log. What cannot be had is reported, and e is returned as it is, with
 * its data_ref.
 */
export async function whole(
  e: RealtimeEvent,
  fromHistory: boolean,
  config: { readonly api: Api; readonly clock: Clock; readonly tuning: Tuning },
  signal: AbortSignal,
  report: (error: RealtimeError) => void,
): Promise<RealtimeEvent> {
  if (e.data_ref === undefined) return e;
  for (let failures = 1; ; failures++) {
    try {
      return await fetchData(e, fromHistory, config.api, signal);
    } catch (thrown) {
      const error = asError(thrown);
      if (signal.aborted) return e;
      if (!error.retryable || failures === tries) {
        report(error);
        return e;
      }
      const { retryMin, retryMax } = config.tuning;
      await pause(config.clock, backoff(config.clock, failures, retryMin, retryMax, error.retryAfter), signal);
      if (signal.aborted) return e;
    }
  }
}

async function fetchData(e: RealtimeEvent, fromHistory: boolean, api: Api, signal: AbortSignal): Promise<RealtimeEvent> {
  let found = e;
  if (!fromHistory) {
    const { events } = await api.history({ scope: "task", id: e.task_id }, e.seq - 1, signal, 1);
    const same = events[0]?.seq === e.seq ? fromLog(events[0], e.kind) : undefined;
    if (same) found = same;
  }
  if (found.data_ref === undefined || found.name !== "task.completed") return found;
  const task = await api.task(e.task_id, signal);
  if (task["state"] !== "completed" || task["result"] === undefined) return found;
  const { data_ref: _, ...rest } = found;
  return { ...rest, data: { ...rest.data, result: task["result"] } };
}
