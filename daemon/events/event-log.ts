import type { EventSubscription, PushEvent, DeliverableEvent } from '../../api/ports/events.ts';
import type { TurnEnv } from '../../protocols/cpu-slice.ts';
import { type Env, pause, type Timer } from '../../protocols/env.ts';
import { SerialQueue } from '../../protocols/serial-queue.ts';
import { CpuTurn } from '../../protocols/wire/cpu-turn.ts';
import type { EventRow, EventTable } from '../../storage/event-table.ts';
import type { BatchOp } from '../../storage/keyspace.ts';
import { type EventListener, replay } from './event-replay.ts';
import { EventWindow, type WindowLimits } from './event-window.ts';

export type Audience = NonNullable<EventRow['audience']>;
export type EventData = EventRow['data'];

/** An event without its number. */
export type NewEvent = Pick<EventRow, 'type' | 'data' | 'audience'>;

export interface EventLogOptions {
  readonly table: EventTable;
  readonly env: Pick<Env, 'now'> & TurnEnv;
  /** Told of events that could not be kept or numbered: a static message and fields. */
  readonly warn: (message: string, fields: Record<string, unknown>) => void;
  readonly limits?: Partial<EventLimits>;
}

export interface EventLimits extends WindowLimits {
  /** Events kept on disk for clients that resume. */
  readonly ring: number;
  /** Characters of JSON of one event; a larger one is not sent. */
  readonly eventChars: number;
  /** Event numbers reserved with one synced write. */
  readonly reserve: number;
  /** How long events are collected before they are written. */
  readonly flushMs: number;
  /** How long to wait after a failed write. */
  readonly retryMs: number;
}

export const EVENT_LIMITS: EventLimits = {
  ring: 10_000,
  /** Events kept in memory, so that clients that were away for a moment need no disk reads. */
  window: 512,
  /** Events waiting to be written. */
  unwritten: 4096,
  /** Characters of their JSON. */
  unwrittenChars: 16 * 1024 * 1024,
  eventChars: 64 * 1024,
  reserve: 1024,
  flushMs: 50,
  retryMs: 5000,
};

/** Events deleted with one write at most. */
const PRUNE = 4096;
/**
 * Deliveries in one turn of the event loop, events times listeners: some 10 ms with what the streams make of them. An entry of a peer can cause a thousand events, and whoever
 * listens takes none before the loop goes round: given all at once they would seem to be too slow for it.
 */
const PER_TURN = 1024;

/** Numbered events of this node, for listeners. A crash may lose the last events; a number is never given to two of them. */
export class EventLog {
  readonly #options: EventLogOptions;
  readonly #limits: EventLimits;
  readonly #turn: CpuTurn;
  readonly #window: EventWindow;
  /** Events that wait for a number. */
  readonly #unnumbered: Omit<EventRow, 'id'>[] = [];
  readonly #listeners = new Set<EventListener>();
  #next: number;
  #reservedTo: number;
  /** The oldest number that may be asked for; what lies below is gone. */
  #oldest: number;
  /** Events on disk; those of a `keep` from when they have been gone through here. */
  #kept: number;
  #reserving = false;
  /** Writes that include their events, one after the other; while one is in progress, no other event gets a number. */
  readonly #keeping = new SerialQueue();
  #holding = false;
  /** Deliveries that this turn of the loop has left, and what begins the next one. */
  #left = PER_TURN;
  #nextTurn: Timer | undefined;
  #timer: Timer | undefined;
  #writing: Promise<void> = Promise.resolve();
  #closed = false;

  /** Opens the log on its table. Numbers are reserved ahead, so that none is delivered that could be given out again. */
  static async open(options: EventLogOptions): Promise<EventLog> {
    const log = new EventLog(options);
    await log.#open();
    return log;
  }

  private constructor(options: EventLogOptions) {
    const { table } = options;
    this.#options = options;
    this.#limits = { ...EVENT_LIMITS, ...options.limits };
    this.#turn = new CpuTurn(options.env);
    this.#next = table.reservedTo;
    this.#reservedTo = table.reservedTo;
    this.#oldest = table.kept?.oldest ?? this.#next;
    this.#kept = table.kept?.count ?? 0;
    this.#window = new EventWindow(this.#limits, this.#next - 1);
  }

  async #open(): Promise<void> {
    const to = this.#reservedTo + this.#limits.reserve;
    await this.#options.table.reserve(to);
    this.#reservedTo = to;
  }

  /** Numbers, delivers and stores an event. Never blocks and never throws. */
  emit(type: string, data: EventData, audience?: Audience): void {
    if (this.#closed) return;
    const { env, warn } = this.#options;
    try {
      if (this.#window.measure(data) > this.#limits.eventChars) {
        warn('an event is too large to be delivered', { type });
        return;
      }
      const base = { type, time: env.now(), data };
      this.#unnumbered.push(audience === undefined ? base : { ...base, audience });
      if (this.#unnumbered.length > this.#limits.unwritten && this.#unnumbered.shift() !== undefined)
        this.#window.dropUnnumbered();
      this.#number();
    } catch (error) {
      warn('an event was not delivered', { err: error, type });
    }
  }

  /**
   * Numbers events and gives `write` their rows, for the one synced batch in which they are stored; delivers them once that is
   * written, and events that happen meanwhile after them. Whether a failed batch was written is looked up when the database can be
   * read again. Rejects when it was not: none of these numbers has been, or will be, delivered.
   */
  keep(events: readonly NewEvent[], write: (rows: BatchOp[]) => Promise<void>): Promise<void> {
    return this.#keeping.run(async () => {
      const { table } = this.#options;
      const to = this.#next + events.length;
      if (to > this.#reservedTo) {
        await table.reserve(to + this.#limits.reserve);
        this.#reservedTo = Math.max(this.#reservedTo, to + this.#limits.reserve);
      }
      const time = this.#options.env.now();
      const rows = events.map((event): EventRow => ({ id: this.#next++, time, ...event }));
      this.#holding = true;
      try {
        await this.#written(rows, write(table.rows(rows)));
        if (this.#closed) return;
        for (const row of rows) {
          this.#window.measure(row.data);
          this.#window.push(row);
          this.#tell(row);
        }
      } finally {
        this.#holding = false;
        if (!this.#closed) this.#number();
      }
    });
  }

  /** Resolves when these events are on disk; of a write that failed that shows later. Rejects when they are not. */
  async #written(rows: readonly EventRow[], write: Promise<void>): Promise<void> {
    const { table, env } = this.#options;
    const first = rows[0]?.id;
    try {
      await write;
    } catch (error) {
      while (table.unavailable() && !this.#closed) await pause(env, this.#limits.retryMs);
      if (this.#closed || first === undefined) throw error;
      const { events } = await table.read(first - 1, 1);
      if (events[0]?.id !== first) throw error;
    }
  }

  /** Delivers an event to current listeners; it has no number and is not stored. */
  relay(type: string, data: EventData, audience: Audience): void {
    if (!this.#closed) this.#tell({ type, data, audience });
  }

  /**
   * Replays the events kept after `after`, then delivers new ones. When something after it is no longer kept, an event `reset`
   * `{oldest}` comes first. Without `after`, only new events.
   */
  subscribe(
    { after, wants }: { readonly after?: number; readonly wants: (event: DeliverableEvent) => boolean },
    push: PushEvent,
  ): EventSubscription {
    const listener: EventListener = { wants, push };
    let open = true;
    if (after === undefined) this.#listeners.add(listener);
    else this.#replay(after, listener, () => open && !this.#closed);
    return {
      close: () => {
        open = false;
        this.#listeners.delete(listener);
      },
    };
  }

  /** The number of the newest event. */
  newest(): number {
    return this.#next - 1;
  }

  /** Forgets what events in memory say of the records of these names. Once it resolves none of it is written to the disk any more. */
  async forget(names: readonly string[]): Promise<void> {
    const isNamed = ({ data }: Pick<EventRow, 'data'>): boolean => {
      const text = JSON.stringify(data);
      return names.some((name) => text.includes(name));
    };
    const blank = <E extends Omit<EventRow, 'id'>>(event: E): E =>
      isNamed(event) ? { ...event, data: { erased: true } } : event;
    // Events being written may be in the window only then.
    await this.#keeping.idle();
    this.#window.replace(blank);
    this.#unnumbered.forEach((event, at) => (this.#unnumbered[at] = blank(event)));
    await this.#writing;
  }

  /** Writes what is not yet written; nothing is delivered any more. */
  async close(): Promise<void> {
    const { table, warn } = this.#options;
    this.#closed = true;
    this.#listeners.clear();
    this.#timer?.cancel();
    await this.#keeping.idle();
    await this.#writing;
    // Nobody listens any more: what waited for its turn is numbered, and kept for those who resume.
    this.#left = Infinity;
    this.#number();
    this.#nextTurn?.cancel();
    await this.#flush();
    // A stop in order gives back what was reserved and not used.
    if (this.#window.written >= this.#next - 1 && !table.unavailable())
      await table.reserve(this.#next).catch((error: unknown) => {
        warn('unused event numbers not returned', { err: error });
      });
  }

  /** Numbers the waiting events, as far as numbers are reserved, and delivers them. */
  #number(): void {
    while (this.#next < this.#reservedTo && !this.#holding && this.#mayDeliver()) {
      const waiting = this.#unnumbered.shift();
      if (waiting === undefined) break;
      this.#left -= this.#listeners.size;
      const event: EventRow = { id: this.#next++, ...waiting };
      this.#window.push(event);
      this.#tell(event);
    }
    this.#reserveAhead();
    this.#schedule(this.#limits.flushMs);
  }

  /** Whether this turn of the loop has room for another event; where it has not, the next one goes on. */
  #mayDeliver(): boolean {
    if (this.#unnumbered.length > 0)
      this.#nextTurn ??= this.#options.env.after(0, () => {
        this.#nextTurn = undefined;
        this.#left = PER_TURN;
        if (!this.#closed) this.#number();
      });
    return this.#left > 0;
  }

  #reserveAhead(): void {
    const { table, env, warn } = this.#options;
    const { reserve, retryMs } = this.#limits;
    if (this.#reserving || this.#closed || this.#reservedTo - this.#next > reserve / 2) return;
    this.#reserving = true;
    const to = this.#reservedTo + reserve;
    table.reserve(to).then(
      () => {
        this.#reserving = false;
        this.#reservedTo = Math.max(this.#reservedTo, to);
        this.#number();
      },
      (error: unknown) => {
        warn('event numbers not reserved', { err: error });
        env.after(retryMs, () => {
          this.#reserving = false;
          this.#reserveAhead();
        });
      },
    );
  }

  #tell(event: DeliverableEvent): void {
    for (const listener of this.#listeners) {
      try {
        if (listener.wants(event)) void listener.push(event);
      } catch (error) {
        this.#options.warn('an event was not delivered', { err: error, type: event.type });
      }
    }
  }

  #schedule(ms: number): void {
    if (this.#timer !== undefined || this.#closed || !this.#window.hasUnwritten) return;
    this.#timer = this.#options.env.after(ms, () => {
      this.#timer = undefined;
      this.#writing = this.#writing.then(() => this.#flush());
    });
  }

  async #flush(): Promise<void> {
    const { table, warn } = this.#options;
    const { ring, flushMs, retryMs } = this.#limits;
    const events = this.#window.unwritten();
    const last = events.at(-1)?.id;
    if (last === undefined) return;
    try {
      if (table.unavailable()) throw new Error('the database is being reopened');
      // Based on stored events, not on numbers: a crash leaves a gap in the numbers, which must cost no listener what precedes it.
      const over = Math.min(Math.max(0, this.#kept + events.length - ring), PRUNE);
      const deleted = await table.write(events, over);
      this.#window.markWritten(last);
      this.#kept += events.length - over;
      this.#oldest = Math.max(this.#oldest, deleted + 1);
      const count = this.#window.takeLost();
      if (count > 0) warn('events were delivered but could not be stored', { count });
      this.#schedule(flushMs);
    } catch (error) {
      warn('events not stored yet', { err: error });
      this.#schedule(retryMs);
    }
  }

  #replay(after: number, listener: EventListener, isOpen: () => boolean): void {
    const source = {
      table: this.#options.table,
      window: this.#window,
      oldest: () => this.#oldest,
      next: () => this.#next,
    };
    const attach = (): unknown => this.#listeners.add(listener);
    replay(source, after, { listener, attach, isOpen, turn: this.#turn }).catch((error: unknown) => {
      this.#options.warn('events not replayed', { err: error });
      if (!isOpen()) return;
      // Nothing is skipped silently: the listener learns that it has to read everything again.
      void listener.push({ id: this.#next - 1, type: 'reset', data: { oldest: this.#next } });
      attach();
    });
  }
}
