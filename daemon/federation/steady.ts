import { AgrinetError } from '../../protocols/errors.ts';

export const STEADY_LIMITS = {
  /** After so many milliseconds of waiting for an answer's bytes it must have come faster than a trickle. */
  graceMs: 20_000,
  /** What is no trickle: a GPRS line brings several times as many, bytes a second. */
  bytesPerSecond: 1024,
} as const;

/**
 * A body that keeps coming: who sends a byte now and then, so that no silence is ever too long, holds a place that others wait for. Time that the
 * reader takes does not count. Throws `pull-slow`.
 */
export async function* steady(
  body: AsyncIterable<Uint8Array>,
  now: () => number = () => performance.now(),
): AsyncGenerator<Uint8Array> {
  let waited = 0;
  let bytes = 0;
  let since = now();
  for await (const chunk of body) {
    waited += now() - since;
    bytes += chunk.length;
    if (waited > STEADY_LIMITS.graceMs && bytes < (waited / 1000) * STEADY_LIMITS.bytesPerSecond)
      throw new AgrinetError('pull-slow', 'the answer only trickles; what came of it stays');
    yield chunk;
    since = now();
  }
}
