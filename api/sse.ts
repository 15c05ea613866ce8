import type { Context } from 'hono';
import { type Env, every, type Timer } from '../protocols/env.ts';
import { AgrinetError } from '../protocols/errors.ts';
import type { EventSubscription, PushEvent, TellableEvent } from './ports/events.ts';

/** What a client that listens may take, and all of them together. Times in milliseconds. */
export interface SseLimits {
  /** Streams of one key, or of one address without a key: six tabs on three devices and some to spare. */
  readonly perKey: number;
  /** Of everybody together. */
  readonly total: number;
  /** What waits for one client; one that is further behind is closed and resumes with Last-Event-ID. */
  readonly queueEvents: number;
  /** The same in bytes. */
  readonly queueBytes: number;
  /** Proxies give up after a minute without a byte. */
  readonly heartbeatMs: number;
  /** A client that takes nothing for so long is gone. */
  readonly stalledMs: number;
}

export const SSE_LIMITS: SseLimits = {
  perKey: 20,
  total: 512,
  queueEvents: 256,
  queueBytes: 256 * 1024,
  heartbeatMs: 15_000,
  stalledMs: 30_000,
};

/** Told of each stream that opens and ends; must not throw. */
export interface SseWatch {
  opened(): void;
  /** `slow`: its queue was full, or it took nothing for too long, and the node closed it. */
  ended(why: 'done' | 'slow'): void;
}

export interface SseStreams {
  /**
   * Answers with a stream. Throws `too-many-streams` for one more than `key` may have, `streams-full` when there are as many as the
   * node serves, or it is stopping.
   */
  open(c: Context, key: string, subscribe: (push: PushEvent) => EventSubscription): Response;
  /** How many are open. */
  readonly size: number;
}

const HEADERS = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-store',
  'x-accel-buffering': 'no',
};
/** How soon a browser comes back after a stream has ended: not in the same instant as all the others, and before its user notices. */
const RETRY_MS = 3000;

const encoder = new TextEncoder();
const BEGIN = encoder.encode(`retry: ${RETRY_MS}\n\n`);
const HEARTBEAT = encoder.encode('event: ping\ndata: {}\n\n');

/** The bytes of an event are made once and shared by all who get it. */
const frames = new WeakMap<TellableEvent, Uint8Array>();

/** One event as in the HTML standard, 9.2.6, without its id. JSON holds no line break, and types none either. */
export function frameOf(event: TellableEvent): Uint8Array {
  const known = frames.get(event);
  if (known !== undefined) return known;
  const frame = encoder.encode(`event: ${event.type}\ndata: ${JSON.stringify(event.data)}\n\n`);
  frames.set(event, frame);
  return frame;
}

/** The line before it, which is each listener's own. */
const idLine = (id: number | string | undefined): Uint8Array | undefined =>
  id === undefined ? undefined : encoder.encode(`id: ${id}\n`);

interface Client {
  readonly key: string;
  readonly beat: (now: number) => void;
  readonly end: () => void;
}

/**
 * Server-sent events. Nothing is handed to the socket before it has taken what came before (the body is only asked for more after
 * `drain`), so what a slow client costs is its queue.
 */
export function createSseStreams(
  env: Pick<Env, 'monotonic' | 'after'>,
  closing: AbortSignal,
  limits: Partial<SseLimits> = {},
  watch?: SseWatch,
): SseStreams {
  const bounds = { ...SSE_LIMITS, ...limits };
  const clients = new Set<Client>();
  const counts = new Map<string, number>();
  let ticker: Timer | undefined;

  function add(client: Client): void {
    clients.add(client);
    watch?.opened();
    counts.set(client.key, (counts.get(client.key) ?? 0) + 1);
    ticker ??= every(env, Math.min(bounds.heartbeatMs, bounds.stalledMs / 4), () => {
      const now = env.monotonic();
      for (const each of clients) each.beat(now);
    });
  }
  function remove(client: Client): void {
    if (!clients.delete(client)) return;
    const left = (counts.get(client.key) ?? 1) - 1;
    if (left > 0) counts.set(client.key, left);
    else counts.delete(client.key);
    if (clients.size > 0) return;
    ticker?.cancel();
    ticker = undefined;
  }
  closing.addEventListener('abort', () => {
    for (const client of clients) client.end();
  });

  function open(c: Context, key: string, subscribe: (push: PushEvent) => EventSubscription): Response {
    if (closing.aborted || clients.size >= bounds.total)
      throw new AgrinetError('streams-full', 'the node serves no more event streams now; try again soon');
    if ((counts.get(key) ?? 0) >= bounds.perKey)
      throw new AgrinetError(
        'too-many-streams',
        `at most ${bounds.perKey} event streams at once for one key; close others first`,
      );
    // Nobody reads the body of an answer to HEAD, so none is begun.
    if (c.req.method === 'HEAD') return c.body(null, 200, HEADERS);
    return c.body(stream(c, key, subscribe), 200, HEADERS);
  }

  function stream(
    c: Context,
    key: string,
    subscribe: (push: PushEvent) => EventSubscription,
  ): ReadableStream<Uint8Array> {
    const queue: { readonly id?: Uint8Array | undefined; readonly frame: Uint8Array }[] = [];
    let bytes = 0;
    /** Whether the socket has asked for more than it got. */
    let asked = false;
    let stuckSince: number | undefined;
    let lastSent = env.monotonic();
    let ended = false;
    /** Whether the node ends it because its client is too slow. */
    let slow = false;
    let body: ReadableStreamDefaultController<Uint8Array> | undefined;
    let subscription: EventSubscription | undefined;
    /** Replays that wait for room: one of each log. */
    const waiting: (() => void)[] = [];

    function send(): void {
      const next = asked ? queue.shift() : undefined;
      if (next !== undefined) {
        asked = false;
        bytes -= next.frame.length;
        lastSent = env.monotonic();
        if (next.id !== undefined) body?.enqueue(next.id);
        body?.enqueue(next.frame);
      }
      stuckSince = queue.length === 0 ? undefined : (stuckSince ?? env.monotonic());
      if (hasRoom()) for (const resume of waiting.splice(0)) resume();
    }
    const hasRoom = (): boolean => queue.length <= bounds.queueEvents / 2 && bytes <= bounds.queueBytes / 2;

    function push(event: TellableEvent, shownId?: string): Promise<void> | undefined {
      if (ended) return undefined;
      const frame = frameOf(event);
      // One event alone may be larger than the queue.
      if (
        queue.length >= bounds.queueEvents ||
        (queue.length > 0 && bytes + frame.length > bounds.queueBytes)
      ) {
        drop();
        return undefined;
      }
      enqueue(frame, idLine(shownId ?? event.id));
      if (hasRoom()) return undefined;
      return new Promise((resolve) => waiting.push(resolve));
    }
    function enqueue(frame: Uint8Array, id?: Uint8Array): void {
      queue.push({ id, frame });
      bytes += frame.length;
      send();
    }

    /** Frees everything once, whoever begins: client, node or a full queue. */
    function release(): void {
      if (ended) return;
      ended = true;
      remove(client);
      watch?.ended(slow ? 'slow' : 'done');
      subscription?.close();
      c.req.raw.signal.removeEventListener('abort', end);
      queue.length = 0;
      bytes = 0;
      for (const resume of waiting.splice(0)) resume();
    }
    function drop(): void {
      slow = true;
      end();
    }
    function end(): void {
      if (ended) return;
      // What is in the socket's way would keep an orderly end waiting for ever.
      const stuck = !asked;
      release();
      body?.close();
      if (stuck) destroySocket(c);
    }
    const client: Client = {
      key,
      beat(now) {
        if (stuckSince !== undefined && now - stuckSince >= bounds.stalledMs) drop();
        else if (queue.length === 0 && now - lastSent >= bounds.heartbeatMs) enqueue(HEARTBEAT);
      },
      end,
    };

    return new ReadableStream<Uint8Array>(
      {
        start(controller) {
          body = controller;
          add(client);
          c.req.raw.signal.addEventListener('abort', end);
          enqueue(BEGIN);
          subscription = subscribe(push);
          if (c.req.raw.signal.aborted) end();
        },
        pull() {
          asked = true;
          stuckSince = undefined;
          send();
        },
        cancel: release,
      },
      { highWaterMark: 0 },
    );
  }

  return {
    open,
    get size() {
      return clients.size;
    },
  };
}

/** Ends the connection under a request at once; a request that came over none (`app.request()`) has nothing to end. */
function destroySocket(c: Context): void {
  const bindings: unknown = c.env;
  if (typeof bindings !== 'object' || bindings === null || !('incoming' in bindings)) return;
  const { incoming } = bindings;
  if (typeof incoming !== 'object' || incoming === null || !('socket' in incoming)) return;
  const { socket } = incoming;
  if (typeof socket !== 'object' || socket === null || !('destroy' in socket)) return;
  if (typeof socket.destroy === 'function') socket.destroy();
}
