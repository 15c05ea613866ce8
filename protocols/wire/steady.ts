import { type Env, waitForOthers } from '../env.ts';
import { AgrinetError } from '../errors.ts';

export const STEADY_LIMITS = {
  /** Milliseconds spent waiting for the bytes of a body after which they must have arrived faster than `bytesPerSecond`. */
  graceMs: 20_000,
  /** The slowest acceptable rate, in bytes per second: a GPRS line is several times as fast. */
  bytesPerSecond: 1024,
} as const;

export interface SteadyOptions {
  /** Thrown when data arrives too slowly. */
  readonly error: () => AgrinetError;
  readonly limits?: { readonly graceMs: number; readonly bytesPerSecond: number };
  readonly env: Pick<Env, 'after' | 'monotonic'>;
}

/**
 * A body that keeps arriving, of a response or a request: a sender of a byte now and then, never silent for too long, would hold a
 * place that others wait for. Time that the reader takes does not count, nor
 * most of the time for which this process stands still.
 */
export async function* steady(
  body: AsyncIterable<Uint8Array>,
  { error, limits = STEADY_LIMITS, env }: SteadyOptions,
): AsyncGenerator<Uint8Array> {
  let waited = 0;
  let bytes = 0;
  let wait = waitForOthers(env);
  try {
    for await (const chunk of body) {
      waited += wait.end();
      bytes += chunk.length;
      if (waited > limits.graceMs && bytes < (waited / 1000) * limits.bytesPerSecond) throw error();
      yield chunk;
      wait = waitForOthers(env);
    }
  } finally {
    wait.end();
  }
}

/** The error of an answer that only trickles. */
export const pullSlow = (): AgrinetError =>
  new AgrinetError('pull-slow', 'the answer arrives too slowly; what has been received so far is kept');
