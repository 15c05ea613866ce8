import { Lazy } from '../../lazy.ts';
import type { RecordChange } from '../../ledger/ports.ts';
import { isLive, type RecordState } from '../../open-dialog/record.ts';
import { listedTimes } from '../../open-dialog/record-times.ts';
import { readOne, type Unread } from '../../unread.ts';
import type { PeerId } from '../../wire/identity.ts';
import { parseRecordKey, type RecordKey } from '../../wire/ids.ts';
import { nodeOf } from '../party.ts';
import { shownContract } from './agreed.ts';
import type { LastSteps } from './last-step.ts';
import { ContractOrder, type ListedUnder, type OrderPage } from './order.ts';
import type { Actor, BookParts, HeldContract } from './types.ts';

/** A step dated further ahead than this is listed as if it were dated then, milliseconds, so that nobody can pin a contract as the newest. */
const AHEAD_MS = 5 * 60_000;

/** Which contracts a list is of. */
export type ListFilter = Readonly<Record<'listingId' | 'requestId', string | undefined>>;

export interface ListParts extends Pick<BookParts, 'reader' | 'now' | 'ratedContract'> {
  readonly self: PeerId;
  readonly load: (state: RecordState | undefined) => Promise<HeldContract | undefined>;
  readonly lastSteps: LastSteps;
}

/** The lists of contracts, in memory: what each is listed under, and in which order. They are built when a list is first requested. */
export class ContractLists {
  readonly #parts: ListParts;
  readonly #order = new ContractOrder();
  readonly #openRequests = new Map<string, Set<RecordKey>>();
  /** What has changed since it was listed: the next request waits for it. */
  readonly #changed = new Set<RecordKey>();
  readonly #unread = new Map<string, Unread>();
  readonly #reading = new Lazy(() => this.#readAll());
  #updating: Promise<void> | undefined;

  constructor(parts: ListParts) {
    this.#parts = parts;
  }

  /** To be called for each commit. */
  note(changes: readonly Pick<RecordChange, 'key' | 'after'>[]): void {
    for (const { key, after } of changes) {
      const collection = parseRecordKey(key)?.collection;
      if (collection === 'contracts') this.#changed.add(key);
      else if (after.channel.startsWith('contracts/')) this.#changed.add(after.channel as RecordKey);
      else if (collection === 'ratings') {
        const contract = this.#parts.ratedContract?.(after);
        if (contract !== undefined) this.#changed.add(contract);
      }
    }
  }

  /** A page of those that an actor may see, and the contracts that are missing because they cannot be read. */
  async page(
    { listingId, requestId }: ListFilter,
    limit: number,
    cursor: string | undefined,
    actor: Actor,
  ): Promise<OrderPage & { readonly unread: readonly Unread[] }> {
    await this.#upToDate();
    const me = `${actor.userId ?? ''}@${this.#parts.self}`;
    const page = this.#order.page(
      ({ isPublic, users, listing, request }) =>
        (isPublic || actor.operator || users.includes(me)) &&
        (listingId === undefined || listing === listingId) &&
        (requestId === undefined || request === requestId),
      limit,
      cursor,
    );
    return { ...page, unread: [...this.#unread.values()] };
  }

  /** How many open requests a node has. */
  async openRequestsOf(owner: string): Promise<number> {
    await this.#upToDate();
    return this.#openRequests.get(owner)?.size ?? 0;
  }

  async #upToDate(): Promise<void> {
    await this.#reading.get();
    // A contract that changed while others were listed may have been acknowledged before this request.
    while (this.#changed.size > 0 || this.#updating !== undefined) {
      this.#updating ??= this.#update().finally(() => (this.#updating = undefined));
      await this.#updating;
    }
  }

  async #readAll(): Promise<void> {
    for await (const state of this.#parts.reader.all('contracts', this.#onUnread)) await this.#put(state, 0);
  }

  async #update(): Promise<void> {
    for (const key of this.#changed) {
      this.#changed.delete(key);
      try {
        this.#unread.delete(key);
        const state = await readOne(key, () => this.#parts.reader.get(key), this.#onUnread);
        if (state !== undefined) await this.#put(state, this.#parts.now());
        else if (!this.#unread.has(key)) this.#order.delete(key);
      } catch (error) {
        this.#changed.add(key); // the next who asks tries again
        throw error;
      }
    }
  }

  /** A contract that cannot be read affects no other. */
  async #put(state: RecordState, moment: number): Promise<void> {
    const { key } = state;
    this.#noteOpen(state);
    if (!isLive(state)) return this.#order.delete(key);
    const under = await readOne(key, () => this.#listedUnder(state), this.#onUnread);
    if (under !== undefined) this.#order.put(key, under, moment);
  }

  readonly #onUnread = (one: Unread): void => void this.#unread.set(one.key, one);

  #noteOpen(state: RecordState): void {
    const owner = parseRecordKey(state.key)?.owner ?? '';
    const requests = this.#openRequests.get(owner) ?? new Set<RecordKey>();
    const isOpen = isLive(state) && state.channel === 'public' && (state.view['status'] ?? 'open') === 'open';
    if (isOpen) this.#openRequests.set(owner, requests.add(state.key));
    else requests.delete(state.key);
  }

  async #listedUnder(state: RecordState): Promise<ListedUnder> {
    const { load, lastSteps, now, self } = this.#parts;
    const held = await load(state);
    const view = held === undefined ? state.view : shownContract(held).state.view;
    const text = (field: string): string => (typeof view[field] === 'string' ? view[field] : '');
    const movedAt = held === undefined ? listedTimes(state).updated[0] : await lastSteps.movedAt(held);
    return {
      at: Math.min(movedAt, now() + AHEAD_MS),
      isPublic: state.channel === 'public',
      users: held?.contract.parties.filter((party) => nodeOf(party) === self) ?? [],
      listing: text('listingId'),
      request: text('requestId'),
    };
  }
}
