import type { Env } from '../protocols/env.ts';
import type { EventSubscription, PushEvent, DeliverableEvent } from './ports/events.ts';

/** Limits of one client. Times in milliseconds. */
export interface SseStreamLimits {
  /** Events queued for one client; a client that falls further behind is closed, and resumes with Last-Event-ID. */
  readonly queueEvents: number;
  /** The same in bytes. */
  readonly queueBytes: number;
  /** Proxies give up after a minute without a byte. */
  readonly heartbeatMs: number;
  /** A client that takes nothing for this long is gone. */
  readonly stalledMs: number;
}

export const SSE_STREAM_LIMITS: SseStreamLimits = {
  queueEvents: 256,
  queueBytes: 256 * 1024,
  heartbeatMs: 15_000,
  stalledMs: 30_000,
};

export interface SseStreamParts {
  readonly env: Pick<Env, 'monotonic'>;
  readonly limits: SseStreamLimits;
  readonly subscribe: (push: PushEvent) => EventSubscription;
  /** Aborted when the client is gone. */
  readonly gone: AbortSignal;
  /** Ends the connection at once. */
  readonly destroy: () => void;
  readonly onEnd: (why: 'done' | 'slow') => void;
}

/** How soon a browser reconnects after a stream has ended: not at the same instant as all others, and before its user notices. */
const RETRY_MS = 3000;

const encoder = new TextEncoder();
const BEGIN = encoder.encode(`retry: ${RETRY_MS}\n\n`);
const HEARTBEAT = encoder.encode('event: ping\ndata: {}\n\n');

/** The bytes of an event are made once and shared by all clients that receive it. */
const frames = new WeakMap<DeliverableEvent, Uint8Array>();

/** One event as in the HTML standard, 9.2.6, without its id. JSON holds no line break, and types none either. */
function frameOf(event: DeliverableEvent): Uint8Array {
  const known = frames.get(event);
  if (known !== undefined) return known;
  const frame = encoder.encode(`event: ${event.type}\ndata: ${JSON.stringify(event.data)}\n\n`);
  frames.set(event, frame);
  return frame;
}

/** The line before it, which is each listener's own. */
const idLine = (id: number | string | undefined): Uint8Array | undefined =>
  id === undefined ? undefined : encoder.encode(`id: ${id}\n`);

/** The source of one client's body. It is asked for more only when the socket has accepted what came before. */
export class SseStream implements UnderlyingDefaultSource<Uint8Array> {
  readonly #parts: SseStreamParts;
  readonly #queue: { readonly id?: Uint8Array | undefined; readonly frame: Uint8Array }[] = [];
  #bytes = 0;
  /** Whether the socket has asked for more than it got. */
  #asked = false;
  /** For how long the socket has taken nothing, milliseconds, by the beats; undefined while nothing waits for it. */
  #stuckMs: number | undefined;
  #lastSent: number;
  #ended = false;
  #body: ReadableStreamDefaultController<Uint8Array> | undefined;
  #subscription: EventSubscription | undefined;
  /** Replays that wait for room: one of each log. */
  readonly #waiting: (() => void)[] = [];
  readonly #onGone = (): void => this.end();

  constructor(parts: SseStreamParts) {
    this.#parts = parts;
    this.#lastSent = parts.env.monotonic();
  }

  start(body: ReadableStreamDefaultController<Uint8Array>): void {
    const { gone, subscribe } = this.#parts;
    this.#body = body;
    gone.addEventListener('abort', this.#onGone);
    this.#enqueue(BEGIN);
    this.#subscription = subscribe((event, id) => this.#push(event, id));
    if (gone.aborted) this.end();
  }

  pull(): void {
    this.#asked = true;
    this.#stuckMs = undefined;
    this.#send();
  }

  cancel(): void {
    this.#release('done');
  }

  /**
   * Closes a client that is stuck, and tells one that hears nothing that the stream goes on. `now` is monotonic. A beat counts for `everyMs`
   * however late it comes: while the node itself stands still, no client can take anything.
   */
  beat(now: number, everyMs: number): void {
    const { stalledMs, heartbeatMs } = this.#parts.limits;
    if (this.#stuckMs !== undefined) this.#stuckMs += everyMs;
    // The first beat may have come right after it got stuck.
    if (this.#stuckMs !== undefined && this.#stuckMs >= stalledMs + everyMs) this.end('slow');
    else if (this.#queue.length === 0 && now - this.#lastSent >= heartbeatMs) this.#enqueue(HEARTBEAT);
  }

  end(why: 'done' | 'slow' = 'done'): void {
    if (this.#ended) return;
    // Data stuck in the socket would delay an orderly end for ever.
    const stuck = !this.#asked;
    this.#release(why);
    this.#body?.close();
    if (stuck) this.#parts.destroy();
  }

  /** Resolves, where it waits, when there is room for more. */
  #push(event: DeliverableEvent, shownId?: string): Promise<void> | undefined {
    if (this.#ended) return undefined;
    const { queueEvents, queueBytes } = this.#parts.limits;
    const frame = frameOf(event);
    const waiting = this.#queue.length;
    // One event alone may be larger than the queue.
    if (waiting >= queueEvents || (waiting > 0 && this.#bytes + frame.length > queueBytes)) {
      this.end('slow');
      return undefined;
    }
    this.#enqueue(frame, idLine(shownId ?? event.id));
    if (this.#hasRoom()) return undefined;
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #enqueue(frame: Uint8Array, id?: Uint8Array): void {
    this.#queue.push({ id, frame });
    this.#bytes += frame.length;
    this.#send();
  }

  #send(): void {
    const next = this.#asked ? this.#queue.shift() : undefined;
    if (next !== undefined) {
      this.#asked = false;
      this.#bytes -= next.frame.length;
      this.#lastSent = this.#parts.env.monotonic();
      if (next.id !== undefined) this.#body?.enqueue(next.id);
      this.#body?.enqueue(next.frame);
    }
    this.#stuckMs = this.#queue.length === 0 ? undefined : (this.#stuckMs ?? 0);
    if (this.#hasRoom()) this.#resume();
  }

  #hasRoom(): boolean {
    const { queueEvents, queueBytes } = this.#parts.limits;
    return this.#queue.length <= queueEvents / 2 && this.#bytes <= queueBytes / 2;
  }

  #resume(): void {
    for (const resume of this.#waiting.splice(0)) resume();
  }

  /** Frees everything once, whoever ends it: client, node or a full queue. */
  #release(why: 'done' | 'slow'): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#parts.onEnd(why);
    this.#subscription?.close();
    this.#parts.gone.removeEventListener('abort', this.#onGone);
    this.#queue.length = 0;
    this.#bytes = 0;
    this.#resume();
  }
}
