import { AgrinetError } from '../errors.ts';
import { type Entry, signEntry } from '../feed/entry.ts';
import type { FeedState } from '../feed/feed.ts';
import type { Channel } from '../wire/ids.ts';
import { LIMITS } from '../wire/limits.ts';
import { arrival } from './arrival.ts';
import type { Draft } from './drafts.ts';
import { feedOrNew, tails } from './held-feed.ts';
import type { LedgerParts } from './types.ts';

/** Room for envelope, header and framing in an entry of `LIMITS.entryBytes`. */
const ENTRY_OPS_BYTES = LIMITS.entryBytes - 16_384;

/** An entry of this node's own while it fills. */
export interface OpenEntry {
  readonly feed: FeedState;
  readonly place: Omit<Entry['header'], 'n' | 'root'>;
  readonly arrived: number;
  readonly ops: Uint8Array[];
  bytes: number;
}

/** The next entries of this node's own, one for each channel. */
export class OpenEntries {
  readonly #parts: LedgerParts;
  readonly #epoch: string;
  readonly #entries = new Map<Channel, OpenEntry>();

  constructor(parts: LedgerParts, epoch: string) {
    this.#parts = parts;
    this.#epoch = epoch;
  }

  /** The page of a channel, opened when it is the first draft there. */
  at(channel: Channel): OpenEntry {
    const page = this.#entries.get(channel) ?? this.#open(channel);
    this.#entries.set(channel, page);
    return page;
  }

  /** Whether all ops of these drafts find room, whichever page they go to: drafts of one write are never parted. */
  hasRoomFor(drafts: readonly Draft[]): boolean {
    const { ops, size } = sizeOf(drafts);
    for (const page of this.#entries.values())
      if (page.bytes + size > ENTRY_OPS_BYTES || page.ops.length + ops > LIMITS.entryOps) return false;
    return true;
  }

  /** Signs the pages that hold something. */
  sign(): { readonly feed: FeedState; readonly entry: Entry }[] {
    return [...this.#entries.values()]
      .filter(({ ops }) => ops.length > 0)
      .map(({ feed, place, ops, arrived }) => ({
        feed,
        entry: signEntry(this.#parts.identity, place, ops, arrived),
      }));
  }

  #open(channel: Channel): OpenEntry {
    const { store, identity, net, clock, env } = this.#parts;
    const author = identity.peerId;
    const epoch = this.#epoch;
    const feed = feedOrNew(store, { author, channel, epoch }, env.now());
    const seq = feed.seq + 1;
    const after = seq > 1 ? [] : tails(store.feeds(author, channel));
    const prev = seq === 1 ? null : feed.hash;
    const place = { net, channel, epoch, seq, prev, after, time: clock.tick() };
    return { feed, place, arrived: arrival(this.#parts), ops: [], bytes: 0 };
  }
}

function sizeOf(drafts: readonly Draft[]): { readonly ops: number; readonly size: number } {
  let [ops, size] = [0, 0];
  for (const draft of drafts) {
    ops += draft.ops.length;
    for (const op of draft.ops) size += op.length + 4;
  }
  return { ops, size };
}

/** Throws `body-too-large` when these do not fit in one entry, before anything is signed. */
export function checkFits(drafts: readonly Draft[]): void {
  const { ops, size } = sizeOf(drafts);
  if (size > ENTRY_OPS_BYTES || ops > LIMITS.entryOps)
    throw new AgrinetError(
      'body-too-large',
      `a write can have at most ${ENTRY_OPS_BYTES} bytes in ${LIMITS.entryOps} ops; split it`,
    );
}
