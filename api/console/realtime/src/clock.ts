/** Time and chance, so that tests can have their own. */
export interface Clock {
  now(): number;
  /** Calls f once after ms milliseconds and returns what cancels that. It does not keep a process alive. */
  after(ms: number, f: () => void): () => void;
  /** 0 up to, but not including, 1. */
  random(): number;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  after(ms, f) {
    const timer: unknown = setTimeout(f, ms);
    if (typeof timer === "object" && timer !== null && "unref" in timer && typeof timer.unref === "function") timer.unref();
    return () => clearTimeout(timer as number);
  },
  random: Math.random,
};

/** Returns ms, more or less by at most the given part of it. */
export function jitter(clock: Clock, ms: number, part: number): number {
  return ms * (1 + part * (2 * clock.random() - 1));
}

/** Returns how long to wait after so many failures in a row: half of the ceiling, and as much again by chance. It never is less than atLeast. */
export function backoff(clock: Clock, failures: number, min: number, max: number, atLeast = 0): number {
  const ceiling = Math.min(max, min * 2 ** Math.min(failures - 1, 30));
  return Math.max(atLeast, ceiling / 2 + (clock.random() * ceiling) / 2);
}

/** Resolves after ms milliseconds, or as soon as signal is aborted. */
export function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      cancel();
      signal.removeEventListener("abort", done);
      resolve();
    };
    const cancel = clock.after(ms, done);
    signal.addEventListener("abort", done);
  });
}
