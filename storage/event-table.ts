import type { Json } from '../protocols/wire/json.ts';
import type { Database } from './database.ts';
import { type BatchOp, fullKey, innerKey, numberKey, range } from './keyspace.ts';
import type { Level } from './level.ts';
import { putJson, soundJson, verifiedJson } from './values.ts';

/** An event as kept. `time` in milliseconds since 1970. */
export interface EventRow {
  readonly id: number;
  readonly type: string;
  readonly time: number;
  readonly data: Readonly<Record<string, Json>>;
  readonly audience?: {
    readonly conversation?: string;
    readonly userId?: string;
    readonly operatorOnly?: boolean;
    readonly partyOnly?: boolean;
  };
}

/** The newest events, and up to where numbers have been handed out. */
export interface EventTable {
  /** Numbers below this may have been given to events; synced before the first of them is. */
  readonly reservedTo: number;
  /** Ids of the oldest and the newest event kept, and how many they are: each crash leaves a gap in the numbers. */
  readonly kept: { readonly oldest: number; readonly newest: number; readonly count: number } | undefined;
  reserve(to: number): Promise<void>;
  /** Adds events and deletes so many of the oldest; not synced. The number of the last one deleted, 0 without any. */
  write(events: readonly EventRow[], prune: number): Promise<number>;
  /** The rows of events, for a batch of somebody else's. */
  rows(events: readonly EventRow[]): BatchOp[];
  /** Events with ids above `after`, oldest first, and the last id read: a damaged event is left out. */
  read(
    after: number,
    limit: number,
  ): Promise<{ readonly events: readonly EventRow[]; readonly through: number }>;
  /** Whether writing would fail now. */
  unavailable(): boolean;
}

/** Public and private events have separate numbers, so that those of the one reveal nothing about the other. */
export type EventTableName = 'events' | 'privateEvents';

/** In `meta`, not with the events: it must outlive them all. */
const RESERVED: Readonly<Record<EventTableName, string>> = {
  events: fullKey('meta', 'events reserved'),
  privateEvents: fullKey('meta', 'private events reserved'),
};
const DIGITS = 12;

/** Opens a table of events. Where the reservation is damaged or missing, numbers continue far beyond the newest event. */
export async function openEventTable(db: Database, name: EventTableName = 'events'): Promise<EventTable> {
  const reservation = RESERVED[name];
  const eventKey = (id: number): string => fullKey(name, numberKey(id, DIGITS));
  const kept = await keptNow();
  const reservedTo = reservedIn(reservation, await db.level.get(reservation), kept?.newest);

  async function keptNow(): Promise<EventTable['kept']> {
    const keys = await db.level.keys(range(name)).all();
    const [oldest, newest] = [keys[0], keys.at(-1)];
    if (oldest === undefined || newest === undefined) return undefined;
    return { oldest: numberIn(oldest), newest: numberIn(newest), count: keys.length };
  }

  const rows = (events: readonly EventRow[]): BatchOp[] =>
    events.map((event) => putJson(eventKey(event.id), event));

  return {
    rows,
    reservedTo,
    kept,
    reserve: (to) => db.batch([putJson(reservation, to)], true),
    async write(events, prune) {
      const oldest = prune === 0 ? [] : await db.level.keys({ ...range(name), limit: prune }).all();
      await db.batch([...rows(events), ...oldest.map((key): BatchOp => ({ type: 'del', key }))], false);
      const last = oldest.at(-1);
      return last === undefined ? 0 : numberIn(last);
    },
    async read(after, limit) {
      const events: EventRow[] = [];
      let through = after;
      const { lt } = range(name);
      for await (const [key, value] of db.level.iterator({ gt: eventKey(after), lt, limit })) {
        const event = soundJson<EventRow>(key, value);
        if (event !== undefined) events.push(event);
        through = numberIn(key);
      }
      return { events, through };
    },
    unavailable: () => db.failed,
  };
}

function numberIn(key: string): number {
  return Number.parseInt(innerKey(key), 16);
}

/** Far enough that no number handed out before the damage comes again. */
const WIDE_STEP = 1_000_000;

/** For a database that goes back in time: numbers given out since are not given to other events. */
export async function skippedEventNumbers(level: Level): Promise<BatchOp[]> {
  const skipped: BatchOp[] = [];
  for (const key of Object.values(RESERVED)) {
    const value = await level.get(key);
    if (value !== undefined) skipped.push(putJson(key, reservedIn(key, value, 0) + WIDE_STEP));
  }
  return skipped;
}

function reservedIn(key: string, value: Uint8Array | undefined, newest: number | undefined): number {
  const beyond = (newest ?? 0) + 1;
  if (value === undefined) return newest === undefined ? 1 : beyond + WIDE_STEP;
  try {
    return Math.max(beyond, verifiedJson<number>(key, value));
  } catch {
    return beyond + WIDE_STEP; // the numbers between are given up
  }
}
