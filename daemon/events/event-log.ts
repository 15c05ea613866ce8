import type { EventSubscription, PushEvent, TellableEvent } from '../../api/ports/events.ts';
import type { EventRow, EventTable } from '../../storage/event-table.ts';

export type Audience = NonNullable<EventRow['audience']>;
export type EventData = EventRow['data'];

/**
 * What happens in this node, numbered, for those who listen. A crash may lose the last events; a number is never given to two of
 * them.
 */
export interface EventLog {
  /**
   * Replays what is kept after `after`, then tells what happens. When something after it is no longer kept, an event `reset`
   * `{oldest}` comes first. Without `after` only what happens from now on.
   */
  subscribe(
    options: { readonly after?: number; readonly wants: (event: TellableEvent) => boolean },
    push: PushEvent,
  ): EventSubscription;
  /** The number of the newest event. */
  newest(): number;
  /** Numbers, tells and keeps an event. Never blocks and never throws. */
  emit(type: string, data: EventData, audience?: Audience): void;
  /** Tells an event to those who listen now; it has no number and is not kept. */
  relay(type: string, data: EventData, audience: Audience): void;
  /** Forgets what events in memory say of the records of these names. Once it resolves none of it is written to the disk any more. */
  forget(names: readonly string[]): Promise<void>;
  /** Writes what is not yet written; nothing is told any more. */
  close(): Promise<void>;
}

export interface EventLogOptions {
  readonly table: EventTable;
  readonly now: () => number;
  /** Told of events that could not be kept or numbered: a static message and fields. */
  readonly warn: (message: string, fields: Record<string, unknown>) => void;
  readonly limits?: Partial<EventLimits>;
}

export interface EventLimits {
  /** Events kept on disk for those who resume. */
  readonly ring: number;
  /** Events kept in memory, so that those who were away for a moment cost no disk. */
  readonly window: number;
  /** Events that may wait to be written. */
  readonly unwritten: number;
  /** Characters of their JSON. */
  readonly unwrittenChars: number;
  /** Characters of JSON of one event; a larger one is not told. */
  readonly eventChars: number;
  /** Numbers reserved with one synced write. */
  readonly reserve: number;
  /** How long events are gathered before they are written. */
  readonly flushMs: number;
  /** How long to wait after a write that failed. */
  readonly retryMs: number;
}

export const EVENT_LIMITS: EventLimits = {
  ring: 10_000,
  window: 512,
  unwritten: 4096,
  unwrittenChars: 16 * 1024 * 1024,
  eventChars: 64 * 1024,
  reserve: 1024,
  flushMs: 50,
  retryMs: 5000,
};

/** Events read from disk at once for one who resumes. */
const PAGE = 64;
/** Numbers deleted with one write at most: many where a crash has left a gap. */
const PRUNE = 4096;

interface Listener {
  readonly wants: (event: TellableEvent) => boolean;
  readonly push: PushEvent;
}

/** Opens the log on its table. Numbers are reserved ahead, so that none is told before it can no longer come again. */
export async function createEventLog({ table, now, warn, limits }: EventLogOptions): Promise<EventLog> {
  const bounds = { ...EVENT_LIMITS, ...limits };
  const { ring, eventChars, reserve, flushMs, retryMs } = bounds;
  /** The newest events, oldest first. */
  const recent: EventRow[] = [];
  /** Events that wait for a number. */
  const unnumbered: Omit<EventRow, 'id'>[] = [];
  const chars = new WeakMap<EventData, number>();
  let recentChars = 0;
  const listeners = new Set<Listener>();
  let next = table.reservedTo;
  let reservedTo = table.reservedTo;
  /** The oldest number that may be asked for; what lies below is gone. */
  let oldest = table.kept?.oldest ?? next;
  /** The last number that is on disk, or was given up. */
  let written = next - 1;
  let reserving = false;
  let timer: NodeJS.Timeout | undefined;
  let writing: Promise<void> = Promise.resolve();
  let closed = false;
  /** Told but never kept: how many since the last warning, and the last of them. */
  let lost = 0;
  let lostThrough = 0;

  await table.reserve(reservedTo + reserve);
  reservedTo += reserve;

  function reserveAhead(): void {
    if (reserving || closed || reservedTo - next > reserve / 2) return;
    reserving = true;
    const to = reservedTo + reserve;
    table.reserve(to).then(
      () => {
        reserving = false;
        reservedTo = to;
        number();
      },
      (error: unknown) => {
        warn('event numbers not reserved', { err: error });
        setTimeout(() => {
          reserving = false;
          reserveAhead();
        }, retryMs).unref();
      },
    );
  }

  /** Gives numbers to what waits, as far as they are reserved, and tells it. */
  function number(): void {
    while (next < reservedTo) {
      const waiting = unnumbered.shift();
      if (waiting === undefined) break;
      const event: EventRow = { id: next++, ...waiting };
      recent.push(event);
      recentChars += chars.get(event.data) ?? 0;
      trim();
      tell(event);
    }
    reserveAhead();
    schedule(flushMs);
  }

  /** Forgets what is on disk and, when too much waits for the disk, what is not. */
  function trim(): void {
    for (let first = recent[0]; first !== undefined; first = recent[0]) {
      const kept = first.id <= written;
      const many = recent.length > (kept ? bounds.window : bounds.unwritten);
      if (!many && recentChars <= bounds.unwrittenChars) return;
      recent.shift();
      recentChars -= chars.get(first.data) ?? 0;
      if (kept) continue;
      lost += 1;
      lostThrough = first.id;
    }
  }

  function tell(event: TellableEvent): void {
    for (const listener of listeners) {
      try {
        if (listener.wants(event)) void listener.push(event);
      } catch (error) {
        warn('an event was not told', { err: error, type: event.type });
      }
    }
  }

  function schedule(ms: number): void {
    if (timer !== undefined || closed || (recent.at(-1)?.id ?? 0) <= written) return;
    timer = setTimeout(() => {
      timer = undefined;
      writing = writing.then(flush);
    }, ms);
    timer.unref();
  }

  async function flush(): Promise<void> {
    const events = recent.filter((event) => event.id > written);
    const last = events.at(-1)?.id;
    if (last === undefined) return;
    try {
      if (table.unavailable()) throw new Error('the database is being opened again');
      const to = Math.min(last - ring + 1, oldest + PRUNE);
      await table.write(events, to > oldest ? { from: oldest, to } : undefined);
      written = last;
      trim();
      oldest = Math.max(oldest, to);
      if (lost > 0) warn('events were told but could not be kept', { count: lost });
      lost = 0;
      schedule(flushMs);
    } catch (error) {
      warn('events not kept yet', { err: error });
      schedule(retryMs);
    }
  }

  /** Replays from disk and memory until nothing is left between the two, then listens. */
  async function replay(after: number, listener: Listener, isOpen: () => boolean): Promise<void> {
    let from = after;
    if (after < oldest - 1 || after < lostThrough || after >= next) {
      from = oldest - 1;
      await listener.push({ id: from, type: 'reset', data: { oldest } });
    }
    while (isOpen()) {
      const start = recent[0]?.id ?? next;
      // What is in memory is told from there; below it the disk is asked.
      const page = from + 1 >= start ? inMemory(from) : await fromDisk(from, start);
      for (const event of page.events) {
        if (!isOpen()) return;
        from = event.id;
        const wait = listener.wants(event) ? listener.push(event) : undefined;
        if (wait !== undefined) await wait;
      }
      from = Math.max(from, page.through);
      // No await between this look and the listening: nothing falls between them.
      if (from >= next - 1) {
        if (isOpen()) listeners.add(listener);
        return;
      }
    }
  }

  function inMemory(from: number) {
    const events = recent.filter((event) => event.id > from).slice(0, PAGE);
    return { events, through: events.at(-1)?.id ?? next - 1 };
  }
  async function fromDisk(from: number, start: number) {
    const page = await table.read(from, PAGE);
    const events = page.events.filter((event) => event.id < start);
    // An empty page: what was not kept is passed over.
    return { events, through: page.through > from ? Math.min(page.through, start - 1) : start - 1 };
  }

  return {
    emit(type, data, audience) {
      if (closed) return;
      try {
        const length = JSON.stringify(data).length;
        if (length > eventChars) {
          warn('an event is too large to be told', { type });
          return;
        }
        chars.set(data, length);
        const base = { type, time: now(), data };
        unnumbered.push(audience === undefined ? base : { ...base, audience });
        if (unnumbered.length > bounds.unwritten && unnumbered.shift() !== undefined) lost += 1;
        number();
      } catch (error) {
        warn('an event was not told', { err: error, type });
      }
    },
    relay(type, data, audience) {
      if (!closed) tell({ type, data, audience });
    },
    subscribe({ after, wants }, push): EventSubscription {
      const listener: Listener = { wants, push };
      let open = true;
      if (after === undefined) listeners.add(listener);
      else
        replay(after, listener, () => open && !closed).catch((error: unknown) => {
          warn('events not replayed', { err: error });
          if (!open || closed) return;
          // Nothing is left out unseen: the listener learns that it has to look at everything anew.
          void push({ id: next - 1, type: 'reset', data: { oldest: next } });
          listeners.add(listener);
        });
      return {
        close() {
          open = false;
          listeners.delete(listener);
        },
      };
    },
    newest: () => next - 1,
    async forget(names) {
      const isNamed = ({ data }: Pick<EventRow, 'data'>): boolean => {
        const text = JSON.stringify(data);
        return names.some((name) => text.includes(name));
      };
      const blank = <E extends Omit<EventRow, 'id'>>(event: E): E =>
        isNamed(event) ? { ...event, data: { erased: true } } : event;
      recent.forEach((event, at) => (recent[at] = blank(event)));
      recentChars = recent.reduce((sum, { data }) => sum + (chars.get(data) ?? 0), 0);
      unnumbered.forEach((event, at) => (unnumbered[at] = blank(event)));
      await writing;
    },
    async close() {
      closed = true;
      listeners.clear();
      clearTimeout(timer);
      await writing;
      await flush();
      // A stop in order gives back what was reserved and not used.
      if (written >= next - 1 && !table.unavailable())
        await table.reserve(next).catch((error: unknown) => {
          warn('event numbers not given back', { err: error });
        });
    },
  };
}
