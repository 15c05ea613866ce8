import type { Want, WantDraft, WantPage } from '../../api/ports/wants.ts';
import type { AskedListings } from '../../api/asked-listings.ts';
import type { ListingQuery } from '../../api/listing-query.ts';
import type { TurnEnv } from '../../protocols/cpu-slice.ts';
import type { Env } from '../../protocols/env.ts';
import { AgrinetError, errorCode } from '../../protocols/errors.ts';
import { SerialQueue } from '../../protocols/serial-queue.ts';
import { CpuTurn } from '../../protocols/wire/cpu-turn.ts';
import type { Held } from '../../storage/search/match.ts';
import type { ChangedListingRows, ChangedListings, WantTable } from '../../storage/want-table.ts';
import { WantIndex } from './want-index.ts';
import { oneChange } from '../write-refusal.ts';

export const WANT_LIMITS = {
  /** Wants of one user. */
  ofUser: 50,
  /** Wants of all users: they are held in memory, some 2 kB each. */
  ofNode: 10_000,
  /** Listings that one user gets notices of per calendar day (UTC): the list of notifications keeps no more. */
  toldADay: 1000,
} as const;

/** A want as stored. */
export interface StoredWant extends Want {
  /** It looks for listings that were changed after this many rows. */
  readonly after: number;
}

/** A want that is matched against listings. */
export interface LiveWant extends StoredWant {
  readonly asked: AskedListings;
}

export interface WantBookParts {
  readonly table: Pick<WantTable<StoredWant>, 'load' | 'change'>;
  readonly rows: Pick<ChangedListingRows, 'last' | 'isBehind' | 'isWanted'>;
  /** The search of a query; throws `query-invalid`, `coordinates-malformed`. */
  readonly asked: (query: ListingQuery) => AskedListings;
  readonly isUser: (userId: string) => boolean;
  readonly env: Pick<Env, 'now' | 'bytes'> & TurnEnv;
  /** Why nothing may be written now. */
  readonly refusal: () => AgrinetError | undefined;
  /** A static message, and fields that do not reveal what is wanted. */
  readonly warn: (message: string, fields: Record<string, unknown>) => void;
}

/** The wants in memory. */
class HeldWants {
  readonly byId = new Map<string, LiveWant>();
  readonly byUser = new Map<string, LiveWant[]>();
  readonly index = new WantIndex<LiveWant>();

  add(want: LiveWant): void {
    this.byId.set(want.id, want);
    const own = this.byUser.get(want.userId);
    if (own === undefined) this.byUser.set(want.userId, [want]);
    else own.push(want);
    this.index.add(want);
  }

  drop(want: LiveWant): void {
    this.byId.delete(want.id);
    const left = (this.byUser.get(want.userId) ?? []).filter((each) => each !== want);
    if (left.length === 0) this.byUser.delete(want.userId);
    else this.byUser.set(want.userId, left);
    this.index.remove(want);
  }
}

/** Saved searches: on disk, and in memory for matching. */
export class WantBook {
  readonly #parts: WantBookParts;
  #held = new HeldWants();
  /** Memory moves only when a change is on disk. */
  readonly #changes = new SerialQueue();

  constructor(parts: WantBookParts) {
    this.#parts = parts;
  }

  get size(): number {
    return this.#held.byId.size;
  }

  /** Reads the table, in turns of the event loop, also after the database was opened again; what was held before is held until it is done. */
  load(): Promise<void> {
    return this.#changes.run(async () => {
      const { table, rows, warn, env } = this.#parts;
      const stored = await table.load(() => warn('a saved search is damaged and left out', {}));
      const held = new HeldWants();
      const turn = new CpuTurn(env);
      for (const want of stored.toSorted(byAge)) {
        rows.isBehind(want.after);
        const live = this.#live(want);
        if (live !== undefined) held.add(live);
        await turn.pause();
      }
      this.#held = held;
      rows.isWanted = this.size > 0;
    });
  }

  list(userId: string, limit: number, cursor?: string): WantPage {
    const now = this.#parts.env.now();
    const all = this.#held.byUser.get(userId) ?? [];
    const from = cursor === undefined ? 0 : all.findIndex(({ id }) => id === cursor) + 1;
    const wants = all.slice(from).filter((want) => !hasEnded(want, now));
    const last = wants[limit - 1];
    return wants.length > limit && last !== undefined
      ? { wants: wants.slice(0, limit), cursor: last.id }
      : { wants };
  }

  get(userId: string, id: string): Want {
    const want = this.#held.byId.get(id);
    if (want?.userId !== userId || hasEnded(want, this.#parts.env.now()))
      throw new AgrinetError('not-found', 'Not found');
    return want;
  }

  save(draft: WantDraft, id: string = this.#newId()): Promise<Want> {
    return this.#write(async () => {
      const { table, rows, asked, isUser, env } = this.#parts;
      if (!isUser(draft.userId))
        throw new AgrinetError('user-unknown', 'this node has no such user; list them with: agrinet users');
      const known = this.#held.byId.get(id);
      if (known?.userId === draft.userId) return known;
      const now = env.now();
      if (hasEnded(draft, now))
        throw new AgrinetError('fields-invalid', 'until: the time when a want ends has to be ahead');
      // Including those of former users.
      const ended = [...this.#held.byId.values()].filter(
        (want) => hasEnded(want, now) || !isUser(want.userId),
      );
      const want: StoredWant = { ...draft, id, createdAt: now, after: rows.last };
      const live: LiveWant = { ...want, asked: asked(draft.query) };
      this.#checkRoom(draft.userId, ended);
      const gone = ended.map((each) => each.id);
      // Before it is written: what is committed meanwhile is new to it.
      rows.isWanted = true;
      await table.change([want], gone).catch((error: unknown) => {
        rows.isWanted = this.size > 0;
        throw error;
      });
      for (const each of ended) this.#held.drop(each);
      this.#held.add(live);
      return want;
    });
  }

  remove(userId: string, id: string): Promise<void> {
    return this.#write(async () => {
      this.get(userId, id);
      await this.#parts.table.change([], [id]);
      const want = this.#held.byId.get(id);
      if (want !== undefined) this.#held.drop(want);
      this.#parts.rows.isWanted = this.size > 0;
    });
  }

  /** Those that match a listing changed in a row of this number and time, of users who may be notified. */
  matching(
    held: Held,
    { no, at }: Pick<ChangedListings, 'no' | 'at'>,
    mayNotify: (userId: string) => boolean,
  ): Generator<LiveWant> {
    const { isUser } = this.#parts;
    return this.#held.index.matching(
      held,
      (want) => want.after < no && !hasEnded(want, at) && mayNotify(want.userId) && isUser(want.userId),
    );
  }

  #checkRoom(userId: string, ended: readonly Want[]): void {
    const { ofUser, ofNode } = WANT_LIMITS;
    const gone = ended.filter((want) => want.userId === userId).length;
    if ((this.#held.byUser.get(userId)?.length ?? 0) - gone >= ofUser)
      throw new AgrinetError('wants-full', `a user may have ${ofUser} wants: delete one of them`);
    if (this.size - ended.length >= ofNode)
      throw new AgrinetError('wants-full', `this node keeps ${ofNode} wants, and has no room for another`);
  }

  #live(want: StoredWant): LiveWant | undefined {
    try {
      return { ...want, asked: this.#parts.asked(want.query) };
    } catch (error) {
      this.#parts.warn('a saved search has a criterion that this version does not know, and is left out', {
        want: want.id,
        code: errorCode(error),
      });
      return undefined;
    }
  }

  #newId(): string {
    return Buffer.from(this.#parts.env.bytes(12)).toString('base64url');
  }

  #write<T>(work: () => Promise<T>): Promise<T> {
    return oneChange(this.#changes, this.#parts.refusal, work);
  }
}

function hasEnded({ until }: WantDraft, now: number): boolean {
  return until !== undefined && until <= now;
}

const byAge = (a: StoredWant, b: StoredWant): number => a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1);
