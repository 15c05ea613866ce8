import type { Context } from 'hono';
import { type Env, every, type Timer } from '../protocols/env.ts';
import { AgrinetError } from '../protocols/errors.ts';
import type { EventSubscription, PushEvent } from './ports/events.ts';
import { SSE_STREAM_LIMITS, SseStream, type SseStreamLimits } from './sse-stream.ts';

/** How many streams there may be. */
export interface SseLimits {
  /** Streams of one key, or of one address without a key: six tabs on three devices, with some to spare. */
  readonly perKey: number;
  /** Of everybody together. */
  readonly total: number;
}

export const SSE_LIMITS: SseLimits = {
  perKey: 20,
  total: 512,
};

/** Told of each stream that opens and ends; must not throw. */
export interface SseWatch {
  opened(): void;
  /** `slow`: its queue was full, or it took nothing for too long, and the node closed it. */
  ended(why: 'done' | 'slow'): void;
}

const HEADERS = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-store',
  'x-accel-buffering': 'no',
};
/**
 * Server-sent events. Nothing is handed to the socket before it has accepted what came before (the body is asked for more only after
 * `drain`), so a slow client costs only its queue.
 */
export class SseStreams {
  readonly #env: Pick<Env, 'monotonic' | 'after'>;
  readonly #closing: AbortSignal;
  readonly #limits: SseLimits & SseStreamLimits;
  readonly #watch: SseWatch | undefined;
  /** With the key each is counted under. */
  readonly #streams = new Map<SseStream, string>();
  #ticker: Timer | undefined;

  constructor(
    env: Pick<Env, 'monotonic' | 'after'>,
    closing: AbortSignal,
    limits: Partial<SseLimits & SseStreamLimits> = {},
    watch?: SseWatch,
  ) {
    this.#env = env;
    this.#closing = closing;
    this.#limits = { ...SSE_LIMITS, ...SSE_STREAM_LIMITS, ...limits };
    this.#watch = watch;
    closing.addEventListener('abort', () => {
      for (const stream of this.#streams.keys()) stream.end();
    });
  }

  /** How many are open. */
  get size(): number {
    return this.#streams.size;
  }

  /**
   * Answers with a stream. Throws `too-many-streams` for one more than `key` may have, `streams-full` when there are as many as the
   * node serves, or it is stopping.
   */
  open(c: Context, key: string, subscribe: (push: PushEvent) => EventSubscription): Response {
    const { total, perKey } = this.#limits;
    if (this.#closing.aborted || this.size >= total)
      throw new AgrinetError(
        'streams-full',
        'too many event streams are open on this node; try again shortly',
      );
    if (this.#ofKey(key) >= perKey)
      throw new AgrinetError(
        'too-many-streams',
        `a key can have at most ${perKey} event streams open; close another one first`,
      );
    // Nobody reads the body of an answer to HEAD, so none is begun.
    if (c.req.method === 'HEAD') return c.body(null, 200, HEADERS);
    const stream: SseStream = new SseStream({
      env: this.#env,
      limits: this.#limits,
      subscribe,
      gone: c.req.raw.signal,
      destroy: () => destroySocket(c),
      onEnd: (why) => this.#remove(stream, why),
    });
    this.#add(stream, key);
    return c.body(new ReadableStream(stream, { highWaterMark: 0 }), 200, HEADERS);
  }

  #ofKey(key: string): number {
    let count = 0;
    for (const each of this.#streams.values()) if (each === key) count++;
    return count;
  }

  #add(stream: SseStream, key: string): void {
    const { heartbeatMs, stalledMs } = this.#limits;
    this.#streams.set(stream, key);
    this.#watch?.opened();
    const everyMs = Math.min(heartbeatMs, stalledMs / 4);
    this.#ticker ??= every(this.#env, everyMs, () => {
      const now = this.#env.monotonic();
      for (const each of this.#streams.keys()) each.beat(now, everyMs);
    });
  }

  #remove(stream: SseStream, why: 'done' | 'slow'): void {
    this.#streams.delete(stream);
    this.#watch?.ended(why);
    if (this.size > 0) return;
    this.#ticker?.cancel();
    this.#ticker = undefined;
  }
}

/** Ends the connection of a request at once; a request without one (`app.request()`) has nothing to end. */
function destroySocket(c: Context): void {
  const bindings: unknown = c.env;
  if (typeof bindings !== 'object' || bindings === null || !('incoming' in bindings)) return;
  const { incoming } = bindings;
  if (typeof incoming !== 'object' || incoming === null || !('socket' in incoming)) return;
  const { socket } = incoming;
  if (typeof socket !== 'object' || socket === null || !('destroy' in socket)) return;
  if (typeof socket.destroy === 'function') socket.destroy();
}
