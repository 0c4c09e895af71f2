/** What kind of thing went wrong. */
export type ErrorCode =
  | "unauthorized" // no valid token, also after a refresh
  | "forbidden" // this principal may not follow this
  | "not_found" // there is no such task
  | "rejected" // another answer of 4xx: asking again will not help
  | "rate_limited" // 429
  | "unavailable" // 408, 5xx, a broken connection, a timeout
  | "malformed" // an answer or a message that cannot be read
  | "push" // the push connection is lost; the history is polled meanwhile
  | "handler"; // a handler of the application threw

/** The only error that handlers and iterators get. */
export class RealtimeError extends Error {
  override readonly name = "RealtimeError";

  constructor(
    readonly code: ErrorCode,
    message: string,
    /** HTTP status, where there was one. */
    readonly status?: number,
    /** Milliseconds that the server asks to wait. */
    readonly retryAfter?: number,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }

  /** Whether the subscription goes on and tries again. An error that is not retryable in this sense ended it, unless its code is "handler". */
  get retryable(): boolean {
    return this.code === "rate_limited" || this.code === "unavailable" || this.code === "malformed" || this.code === "push";
  }
}

export function asError(e: unknown): RealtimeError {
  if (e instanceof RealtimeError) return e;
  return new RealtimeError("unavailable", e instanceof Error ? e.message : String(e), undefined, undefined, { cause: e });
}
