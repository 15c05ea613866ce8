import type { Env } from '../../protocols/env.ts';
import { loopTurn, soleTurn, type Turn } from '../../protocols/ledger/turn.ts';
import type { TurnEnv } from '../../protocols/cpu-slice.ts';
import type { RecordState } from '../../protocols/open-dialog/record.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import type { RecordKey } from '../../protocols/wire/ids.ts';
import type { BatchOp } from '../../storage/keyspace.ts';
import type { ChangedListings, WantTable } from '../../storage/want-table.ts';
import type { Notice } from '../notices/notice.ts';
import type { Beside } from '../notices/notice-writer.ts';
import { WokenWork } from '../woken-work.ts';
import { type StoredWant, WANT_LIMITS, type WantBook } from './want-book.ts';
import { dayOf, dailyLimitNotice, noticesOf } from './want-notices.ts';

export interface WantFollowerParts {
  readonly self: PeerId;
  readonly book: Pick<WantBook, 'matching'>;
  readonly table: Pick<WantTable<StoredWant>, 'changed' | 'looked' | 'told' | 'putTold'>;
  /** Records in their current state; undefined for one that cannot be read. */
  readonly records: (keys: readonly RecordKey[]) => Promise<readonly (RecordState | undefined)[]>;
  /** Notifies users, in one batch with what is written beside those that are new; returns these. */
  readonly raise: (notices: readonly Notice[], beside: Beside) => Promise<readonly Notice[]>;
  /** Writes without waiting for the disk: what is lost of it is done again. */
  readonly write: (ops: BatchOp[]) => Promise<void>;
  readonly env: Pick<Env, 'now' | 'after'> & TurnEnv;
  readonly warn: (message: string, fields: Record<string, unknown>) => void;
}

/** Rows processed together: a few hundred listings. */
const ROWS = 4;
/** Notices of one batch. */
const AT_ONCE = 64;

/**
 * Matches the listings that commits have changed against the wants. A row is deleted in the batch with the last of its notices;
 * after an interruption it is processed again, and only users who were not notified of it are.
 */
export class WantFollower extends WokenWork {
  readonly #parts: WantFollowerParts;
  /** Of how many listings each user was notified on this day, as on disk. */
  #sentToday = new Map<string, number>();
  /** Users who were told today that there are more. */
  readonly #toldOfMore = new Set<string>();
  #day = -1;

  constructor(parts: WantFollowerParts) {
    super(parts.env);
    this.#parts = parts;
  }

  protected override failed(err: unknown): void {
    this.#day = -1; // the counts are read again: the batch may be on disk or not
    this.#parts.warn('saved searches are delayed', { err });
  }

  protected override async look(): Promise<void> {
    const { env, table } = this.#parts;
    await loopTurn(env); // whoever commits does not wait for it
    const turn = soleTurn(env);
    while (!this.stopping.aborted) {
      const rows = await table.changed(ROWS);
      if (rows.length === 0) return;
      await this.#look(rows, turn);
    }
  }

  async #look(rows: readonly ChangedListings[], turn: Turn): Promise<void> {
    const { self, book, table, records, write } = this.#parts;
    const found: Notice[] = [];
    const mayNotify = (userId: string): boolean => !this.#toldOfMore.has(userId);
    await this.#beginDay();
    for (const row of rows) {
      for (const state of await records(row.records)) {
        for (const notice of noticesOf(book, self, state, row, mayNotify)) {
          if (this.#isLast(notice, found)) await this.#raise(found.splice(0), []);
          found.push(this.#allowed(notice));
          if (found.length >= AT_ONCE) await this.#raise(found.splice(0), []);
          if (turn.isOver()) await turn.next();
        }
        if (turn.isOver()) await turn.next();
        if (this.stopping.aborted) return;
      }
    }
    if (found.length > 0) await this.#raise(found, table.looked(rows));
    else await write(table.looked(rows));
  }

  /** The counts are written in the batch of the notices: after a kill they are what was told. */
  async #raise(notices: readonly Notice[], beside: readonly BatchOp[]): Promise<void> {
    const { table, raise } = this.#parts;
    const day = this.#day;
    let counts = new Map<string, number>();
    await raise(notices, (fresh) => {
      counts = this.#counted(fresh);
      return [...beside, ...[...counts].map(([userId, told]) => table.putTold({ userId, day, told }))];
    });
    for (const [userId, told] of counts) this.#sentToday.set(userId, told);
  }

  /** The counts of those who are told of these listings, with them. */
  #counted(fresh: readonly Notice[]): Map<string, number> {
    const counts = new Map<string, number>();
    for (const { userId, text } of fresh)
      if (text === 'want') counts.set(userId, (counts.get(userId) ?? this.#told(userId)) + 1);
    return counts;
  }

  #told(userId: string): number {
    return this.#sentToday.get(userId) ?? 0;
  }

  async #beginDay(): Promise<void> {
    const { env, table, write } = this.#parts;
    const day = dayOf(env.now());
    if (this.#day === day) return;
    const { counts, ops } = await table.told(day);
    if (ops.length > 0) await write(ops);
    this.#sentToday = counts;
    this.#toldOfMore.clear();
    this.#day = day;
  }

  /** Whether, with those found before it, it may be above the limit: only which of these are new decides that. */
  #isLast({ userId }: Notice, found: readonly Notice[]): boolean {
    const more = found.filter((each) => each.userId === userId).length;
    return more > 0 && this.#told(userId) + more >= WANT_LIMITS.toldADay;
  }

  /** The notice, or once a day one that represents all those above the limit. */
  #allowed(notice: Notice): Notice {
    if (this.#told(notice.userId) < WANT_LIMITS.toldADay) return notice;
    this.#toldOfMore.add(notice.userId);
    return dailyLimitNotice(notice, this.#parts.env.now());
  }
}
