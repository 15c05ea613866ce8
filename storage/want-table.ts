import type { RecordChange } from '../protocols/ledger/ports.ts';
import { isLive } from '../protocols/open-dialog/record.ts';
import type { RecordKey } from '../protocols/wire/ids.ts';
import type { Database } from './database.ts';
import { type BatchOp, fullKey, innerKey, numberKey, range } from './keyspace.ts';
import type { Level } from './level.ts';
import { putJson, soundJson } from './values.ts';

/** Wants, listings that have yet to be matched in the order of their commits, the number of the last that were, and counts of a day. */
const WANT = 'w';
const CHANGED = 'c';
const TOLD = 't';
const PLACE = fullKey('wants', 'p');
const DIGITS = 12;
/** Listings per row: a want that many of them match is notified in several batches, and a batch removes rows as a whole. */
const OF_ROW = 64;

/** Listings of one commit, and when it was made here, milliseconds since 1970. */
interface ChangedRow {
  readonly records: readonly RecordKey[];
  readonly at: number;
}

/** Of how many listings a user was notified on a day, which is a number since 1970. */
interface ToldRow {
  readonly userId: string;
  readonly day: number;
  readonly told: number;
}

/** A listing that may be what a want looks for. */
export interface ChangedListings extends ChangedRow {
  readonly no: number;
  readonly key: string;
}

/**
 * Numbers the rows that a commit leaves for the listings it changes, once there are wants. The rows are not a function of the feeds:
 * a rebuild renumbers all changes, and a position among those would notify again, or skip.
 */
export class ChangedListingRows {
  #last = 0;
  #isThere = false;
  #isWanted = false;

  /** Goes on from the last one on disk. */
  async read(level: Level): Promise<void> {
    const place = await level.get(PLACE);
    // Where it is damaged the wants themselves say after which number they were made.
    this.#last = Math.max(this.#last, soundJson<number>(PLACE, place) ?? 0);
    for await (const key of level.keys({ ...range('wants', CHANGED), reverse: true, limit: 1 }))
      this.#last = Math.max(this.#last, numberIn(key));
    this.#isThere = (await level.keys({ ...range('wants', WANT), limit: 1 }).all()).length > 0;
  }

  /** Whether there are wants on the disk, as far as was read. */
  get isThere(): boolean {
    return this.#isThere;
  }

  /** From now on commits leave rows if there are wants: those of a rebuild must not. */
  follow(): void {
    this.#isWanted = this.#isThere;
  }

  /** Whether there are wants now. */
  set isWanted(isWanted: boolean) {
    this.#isWanted = isWanted;
  }

  /** Of the last listings that were changed: a want that is made now looks for those after it. */
  get last(): number {
    return this.#last;
  }

  /** What comes after this is new to a want that was read from the disk. */
  isBehind(no: number): void {
    this.#last = Math.max(this.#last, no);
  }

  /** The rows to add to the batch of a commit. */
  rows(changes: readonly RecordChange[], at: number): BatchOp[] {
    if (!this.#isWanted) return [];
    const records = changes.filter(isOffered).map(({ key }) => key);
    const ops: BatchOp[] = [];
    for (let from = 0; from < records.length; from += OF_ROW) {
      const row: ChangedRow = { records: records.slice(from, from + OF_ROW), at };
      ops.push(putJson(fullKey('wants', CHANGED + numberKey(++this.#last, DIGITS)), row));
    }
    return ops;
  }
}

function isOffered({ key, after }: RecordChange): boolean {
  return key.startsWith('listings/') && after.channel === 'public' && isLive(after);
}

const numberIn = (key: string): number => Number.parseInt(innerKey(key).slice(1), 16);

/** The rows of the wants of this node's users: in no feed, digest, export or mirrored table. */
export class WantTable<Want extends { readonly id: string }> {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  /** A damaged row is named and left out. */
  async load(onDamaged: (key: string) => void): Promise<Want[]> {
    const wants: Want[] = [];
    for await (const [key, value] of this.#db.level.iterator(range('wants', WANT))) {
      const want = soundJson<Want>(key, value);
      if (want === undefined) onDamaged(key);
      else wants.push(want);
    }
    return wants;
  }

  /** On disk when it resolves. Throws `disk-full`, `storage-failed`. */
  change(put: readonly Want[], removed: readonly string[]): Promise<void> {
    return this.#db.batch(
      [
        ...put.map((want) => putJson(fullKey('wants', WANT + want.id), want)),
        ...removed.map((id): BatchOp => ({ type: 'del', key: fullKey('wants', WANT + id) })),
      ],
      true,
    );
  }

  /** Listings that have yet to be matched, the oldest commit first; a damaged row has none. */
  async changed(limit: number): Promise<ChangedListings[]> {
    const rows = await this.#db.level.iterator({ ...range('wants', CHANGED), limit }).all();
    return rows.map(([key, value]) => {
      const { records = [], at = 0 } = soundJson<ChangedRow>(key, value) ?? {};
      return { no: numberIn(key), key, records, at };
    });
  }

  /** Of how many listings each user was notified on this day, and the writes that delete what earlier days have left. */
  async told(day: number): Promise<{ readonly counts: Map<string, number>; readonly ops: BatchOp[] }> {
    const counts = new Map<string, number>();
    const ops: BatchOp[] = [];
    for await (const [key, value] of this.#db.level.iterator(range('wants', TOLD))) {
      const row = soundJson<ToldRow>(key, value);
      if (row?.day === day) counts.set(row.userId, row.told);
      else ops.push({ type: 'del', key });
    }
    return { counts, ops };
  }

  /** The write of such a count. */
  putTold(row: ToldRow): BatchOp {
    return putJson(fullKey('wants', TOLD + encodeURIComponent(row.userId.toWellFormed())), row);
  }

  /** The writes that record that these were matched, and all before them too. */
  looked(rows: readonly ChangedListings[]): BatchOp[] {
    const last = rows.at(-1);
    if (last === undefined) return [];
    return [...rows.map(({ key }): BatchOp => ({ type: 'del', key })), putJson(PLACE, last.no)];
  }
}
