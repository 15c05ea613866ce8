import type { RecordChange } from '../../ledger/ports.ts';
import { isLive, type RecordState } from '../../open-dialog/record.ts';
import { listedTimes } from '../../open-dialog/record-times.ts';
import type { PeerId } from '../../wire/identity.ts';
import { parseRecordKey, type RecordKey } from '../../wire/ids.ts';
import { nodeOf } from '../party.ts';
import { shownContract } from './agreed.ts';
import type { LastSteps } from './last-step.ts';
import { ContractOrder, type Standing } from './order.ts';
import { readOne, type Unread } from '../../unread.ts';
import type { Actor, BookParts, Case } from './types.ts';

/** A step that says it is from later than this is listed as if it were from then, milliseconds: nobody pins a contract as newest. */
const AHEAD_MS = 5 * 60_000;

/** Which contracts a list is of. */
export type Listed = Readonly<Record<'listingId' | 'requestId', string | undefined>>;

export interface PlacingParts extends Pick<BookParts, 'reader' | 'now' | 'ratedContract' | 'onFailure'> {
  readonly self: PeerId;
  readonly load: (state: RecordState | undefined) => Promise<Case | undefined>;
  readonly lastSteps: LastSteps;
}

/** The lists of contracts: what each is listed under, and in which order. */
export interface Placing {
  /** Told of each commit. */
  note(changes: readonly Pick<RecordChange, 'key' | 'after'>[]): void;
  page(listed: Listed, limit: number, cursor: string | undefined, actor: Actor): Promise<PlacedPage>;
  /** Open requests of a node. */
  openRequestsOf(owner: string): Promise<number>;
}

/** A page, and the contracts that stand in no list because they cannot be read. */
export interface PlacedPage {
  readonly items: readonly RecordKey[];
  readonly unread: readonly Unread[];
  readonly cursor?: string;
}

/** When a contract was last changed, milliseconds since 1970: from an agreement on by steps alone, edits of its document are none. */
export async function movedAtOf(held: Case, lastSteps: LastSteps): Promise<number> {
  const stepped = await lastSteps.of(held);
  return held.agreed.length > 0 && stepped > 0 ? stepped : Math.max(stepped, held.state.updated[0]);
}

export function createPlacing(parts: PlacingParts): Placing {
  const { reader, self, now, lastSteps } = parts;
  const order = new ContractOrder();
  /** Open requests by their owners. */
  const open = new Map<string, Set<RecordKey>>();
  /** What has changed since it was placed: whoever asks next waits for it. */
  const unplaced = new Set<RecordKey>();
  const unread = new Map<string, Unread>();
  let placing: Promise<void> | undefined;
  let reading: Promise<void> | undefined;
  const onUnread = (one: Unread): void => void unread.set(one.key, one);

  /** At the first question: who never asks for a list pays for none. */
  async function readAll(): Promise<void> {
    for await (const state of reader.all('contracts', onUnread)) await takeIn(state, 0);
  }
  function read(): Promise<void> {
    reading ??= readAll().catch((error: unknown) => {
      reading = undefined;
      throw error;
    });
    return reading;
  }

  async function standingOf(state: RecordState, held: Case | undefined): Promise<Standing> {
    const view = held === undefined ? state.view : shownContract(held).state.view;
    const text = (field: string): string => (typeof view[field] === 'string' ? view[field] : '');
    const movedAt = held === undefined ? listedTimes(state).updated[0] : await movedAtOf(held, lastSteps);
    return {
      at: Math.min(movedAt, now() + AHEAD_MS),
      isPublic: state.channel === 'public',
      users: held?.contract.parties.filter((party) => nodeOf(party) === self) ?? [],
      listing: text('listingId'),
      request: text('requestId'),
    };
  }
  function noteOpen(state: RecordState): void {
    const owner = parseRecordKey(state.key)?.owner ?? '';
    const requests = open.get(owner) ?? new Set<RecordKey>();
    const isOpen = isLive(state) && state.channel === 'public' && (state.view['status'] ?? 'open') === 'open';
    if (isOpen) open.set(owner, requests.add(state.key));
    else requests.delete(state.key);
  }
  async function place(key: RecordKey): Promise<void> {
    unread.delete(key);
    const state = await readOne(key, () => reader.get(key), onUnread);
    if (state !== undefined) await takeIn(state, now());
    else if (!unread.has(key)) order.delete(key);
  }
  /** What cannot be read of one is that one's matter alone. */
  async function takeIn(state: RecordState, moment: number): Promise<void> {
    const { key } = state;
    noteOpen(state);
    if (!isLive(state)) return order.delete(key);
    const standing = await readOne(key, async () => standingOf(state, await parts.load(state)), onUnread);
    if (standing !== undefined) order.put(key, standing, moment);
  }
  async function placeAll(): Promise<void> {
    for (const key of unplaced) {
      unplaced.delete(key);
      try {
        await place(key);
      } catch (error) {
        unplaced.add(key); // the next who asks tries again
        throw error;
      }
    }
  }
  function placed(): Promise<void> {
    placing ??= placeAll().finally(() => (placing = undefined));
    return placing;
  }
  async function upToDate(): Promise<void> {
    await read();
    // What came while others were placed was perhaps acknowledged before this was asked.
    while (unplaced.size > 0 || placing !== undefined) await placed();
  }

  return {
    note(changes) {
      for (const { key, after } of changes) {
        const collection = parseRecordKey(key)?.collection;
        if (collection === 'contracts') unplaced.add(key);
        else if (after.channel.startsWith('contracts/')) unplaced.add(after.channel as RecordKey);
        else if (collection === 'ratings') {
          const contract = parts.ratedContract?.(after);
          if (contract !== undefined) unplaced.add(contract);
        }
      }
    },
    async page({ listingId, requestId }, limit, cursor, actor) {
      await upToDate();
      const me = `${actor.userId ?? ''}@${self}`;
      const { keys, cursor: next } = order.page(
        ({ isPublic, users, listing, request }) =>
          (isPublic || actor.operator || users.includes(me)) &&
          (listingId === undefined || listing === listingId) &&
          (requestId === undefined || request === requestId),
        limit,
        cursor,
      );
      const page = { items: keys, unread: [...unread.values()] };
      return next === undefined ? page : { ...page, cursor: next };
    },
    async openRequestsOf(owner) {
      await upToDate();
      return open.get(owner)?.size ?? 0;
    },
  };
}
