/** What tests change. Times are in milliseconds. */
export interface Tuning {
  /** Between two audits of a live subscription, ± 20 %. */
  readonly auditEvery: number;
  /** How long nothing is pushed before the history is polled. */
  readonly pollAfter: number;
  /** Between two polls, ± 50 %: from pollMin, longer while nothing happens. */
  readonly pollMin: number;
  readonly pollMax: number;
  /** Between the end of one read of the history and the next. */
  readonly gap: number;
  /** Ceilings of the first and of every wait after a failure. */
  readonly retryMin: number;
  readonly retryMax: number;
  /** How often the history may lack an event that was pushed before the pushed one is believed. */
  readonly patience: number;
  /** Pushed events that may wait for the history. What does not fit is read from there. */
  readonly waiting: number;
  /** Pushed events that may be given before the history has proven them. */
  readonly unproven: number;
  /** Tasks of which something is remembered: their kind, their end, how far their text was given. */
  readonly tasks: number;
  /** Whether pushed events are put in order with those of the history. Without that events come twice and in any order. */
  readonly splice: boolean;
}

export const tuning: Tuning = {
  auditEvery: 30_000,
  pollAfter: 3_000,
  pollMin: 2_000,
  pollMax: 30_000,
  gap: 250,
  retryMin: 500,
  retryMax: 30_000,
  patience: 6,
  waiting: 1_000,
  unproven: 4_096,
  tasks: 1_024,
  splice: true,
};
