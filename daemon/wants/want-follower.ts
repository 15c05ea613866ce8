import type { Env } from '../../protocols/env.ts';
import { loopTurn, soleTurn, type Turn } from '../../protocols/ledger/turn.ts';
import type { TurnEnv } from '../../protocols/cpu-slice.ts';
import type { RecordState } from '../../protocols/open-dialog/record.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import type { RecordKey } from '../../protocols/wire/ids.ts';
import type { BatchOp } from '../../storage/keyspace.ts';
import type { ChangedListings, WantTable } from '../../storage/want-table.ts';
import type { Notice } from '../notices/notice.ts';
import { WokenWork } from '../woken-work.ts';
import { type StoredWant, WANT_LIMITS, type WantBook } from './want-book.ts';
import { dayOf, dailyLimitNotice, noticesOf } from './want-notices.ts';

export interface WantFollowerParts {
  readonly self: PeerId;
  readonly book: Pick<WantBook, 'matching'>;
  readonly table: Pick<WantTable<StoredWant>, 'changed' | 'looked'>;
  /** Records in their current state; undefined for one that cannot be read. */
  readonly records: (keys: readonly RecordKey[]) => Promise<readonly (RecordState | undefined)[]>;
  /** Notifies users, in one batch with what is written besides; returns those that were new. */
  readonly raise: (notices: readonly Notice[], beside: readonly BatchOp[]) => Promise<readonly Notice[]>;
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
  /** Of how many listings each user was notified on this day; above the limit once that was said. */
  #sentToday = new Map<string, number>();
  #day = 0;

  constructor(parts: WantFollowerParts) {
    super(parts.env);
    this.#parts = parts;
  }

  protected override failed(err: unknown): void {
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
    const mayNotify = (userId: string): boolean => (this.#sentToday.get(userId) ?? 0) <= WANT_LIMITS.toldADay;
    this.#beginDay();
    for (const row of rows) {
      for (const state of await records(row.records)) {
        for (const notice of noticesOf(book, self, state, row, mayNotify)) {
          found.push(...this.#allowed(notice));
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

  async #raise(notices: readonly Notice[], beside: readonly BatchOp[]): Promise<void> {
    const { toldADay } = WANT_LIMITS;
    for (const { userId, text } of await this.#parts.raise(notices, beside)) {
      const told = this.#sentToday.get(userId) ?? 0;
      if (text === 'want' && told < toldADay) this.#sentToday.set(userId, told + 1);
    }
  }

  #beginDay(): void {
    const day = dayOf(this.#parts.env.now());
    if (this.#day !== day) this.#sentToday.clear();
    this.#day = day;
  }

  /** The notice, or once a day one that represents all those above the limit. */
  #allowed(notice: Notice): Notice[] {
    const { toldADay } = WANT_LIMITS;
    const told = this.#sentToday.get(notice.userId) ?? 0;
    if (told < toldADay) return [notice];
    this.#sentToday.set(notice.userId, Infinity);
    return told === toldADay ? [dailyLimitNotice(notice, this.#parts.env.now())] : [];
  }
}
