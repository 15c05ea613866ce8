/** A call that is due: `cancel` takes it back, at any time and any number of times. */
export interface Timer {
  cancel(): void;
}

/** How a timer is kept. */
export interface TimerOptions {
  /** The process stays alive until the call was made. Without this, a timer alone keeps no process alive. */
  readonly holds?: boolean;
}

/** Limits for decompression. */
export interface InflateLimits {
  /** Bytes that come out, at most. */
  readonly maxBytes: number;
  /** The largest window is 2 ^ this: what a decoder may have to set aside. */
  readonly windowLog: number;
}

/** Long work that needs nothing of this thread: it runs on other threads, or inline where a test wants one order of events. */
export interface Offload {
  /** One zstd frame (RFC 8878), at this level. */
  readonly compress: (bytes: Uint8Array, level: number) => Promise<Uint8Array>;
  /** The content of one zstd frame. Throws for a damaged frame or one above a limit. */
  readonly decompress: (frame: Uint8Array, limits: InflateLimits) => Promise<Uint8Array>;
  /** Decompresses gzip (RFC 1952) as a stream. Throws for damaged or truncated data, and what the source throws. */
  readonly gunzip: (source: AsyncIterable<Uint8Array>) => AsyncIterable<Uint8Array>;
}

/**
 * What a node takes from the machine: time, timers, randomness and other threads. Everything that needs them is passed one, so that
 * a test controls them all: the same seed gives the same run. The real one is `daemon/system-env.ts`; the simulator has its own
 * (`test/sim/world.ts`).
 */
export interface Env {
  /** The wall clock, milliseconds since 1970, whole. Somebody may set it. */
  readonly now: () => number;
  /** Milliseconds from an unnamed beginning, with fractions. Nobody sets it; for spans of time within this process. */
  readonly monotonic: () => number;
  /** CPU that this thread has used, milliseconds, with fractions. */
  readonly cpu: () => number;
  /** At least 0 and less than 1, evenly. For jitter and for choosing; never for a secret. */
  readonly random: () => number;
  /** As many random bytes, fit for keys and nonces. */
  readonly bytes: (length: number) => Uint8Array;
  /** Calls once when so many milliseconds have passed. With 0 the call comes when the event loop has gone round: sockets and other timers first. */
  readonly after: (ms: number, call: () => void, options?: TimerOptions) => Timer;
  /** Aborted, with a `TimeoutError`, when so many milliseconds have passed. */
  readonly deadline: (ms: number) => AbortSignal;
  /** Other threads. */
  readonly offload: Offload;
}

/** Resolves when so many milliseconds have passed, or at once when the signal is or becomes aborted. */
export function pause(
  env: Pick<Env, 'after'>,
  ms: number,
  signal?: AbortSignal,
  options?: TimerOptions,
): Promise<void> {
  if (signal?.aborted === true) return Promise.resolve();
  return new Promise((resolve) => {
    const done = (): void => {
      timer.cancel();
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = env.after(ms, done, options);
    signal?.addEventListener('abort', done, { once: true });
  });
}

/** Calls again and again, so many milliseconds apart, until it is cancelled. */
export function every(env: Pick<Env, 'after'>, ms: number, call: () => void, options?: TimerOptions): Timer {
  let timer = env.after(ms, next, options);
  function next(): void {
    timer = env.after(ms, next, options);
    call();
  }
  return { cancel: () => timer.cancel() };
}

/** How often a wait for another party checks the clock, milliseconds. A pause of this process counts as at most twice this. */
const LOOK_MS = 1000;

/**
 * A wait for somebody else, such as the next bytes of a body. `end` gives the milliseconds that it took, without most of the time in which
 * this process itself stood still (suspended, or busy): what is held against others are looks, and each counts for so much at most.
 */
export function waitForOthers(env: Pick<Env, 'after' | 'monotonic'>): { readonly end: () => number } {
  let waited = 0;
  let at = env.monotonic();
  const look = (): void => {
    const now = env.monotonic();
    waited += Math.min(now - at, 2 * LOOK_MS);
    at = now;
  };
  const timer = every(env, LOOK_MS, look);
  return {
    end() {
      timer.cancel();
      look();
      return waited;
    },
  };
}

/** In how many looks a bound on what others do is counted. */
const LOOKS = 6;

/**
 * Calls when somebody else has had so many milliseconds. Time in which this process stood still counts for a sixth of them at most, so what has
 * arrived meanwhile is read first. A call may come later by as much as the loop is late.
 */
export function allowOthers(env: Pick<Env, 'after'>, ms: number, call: () => void): Timer {
  let looks = 0;
  const timer = every(env, Math.ceil(ms / LOOKS), () => {
    looks++;
    if (looks < LOOKS) return;
    timer.cancel();
    call();
  });
  return timer;
}
