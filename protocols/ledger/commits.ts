import { AgrinetError } from '../errors.ts';
import type { Entry } from '../feed/entry.ts';
import { feedId, type FeedState } from '../feed/feed.ts';
import type { ForkProof } from '../feed/fork.ts';
import type { Erasure } from '../feed/erasure.ts';
import type { Merges } from '../open-dialog/merger.ts';
import type { OpRef } from '../open-dialog/record.ts';
import { Effects } from './effects.ts';
import type { OwnEpoch } from './own-epoch.ts';
import type { Dropped, RecordChange } from './ports.ts';
import type { Turn } from './turn.ts';
import type { LedgerParts } from './types.ts';

/** What a commit writes besides what its effects say. */
export interface ToCommit {
  readonly effects: Effects;
  readonly entries: readonly { readonly feed: FeedState; readonly entry: Entry }[];
  readonly feeds: readonly FeedState[];
  readonly proofs?: readonly { readonly feed: FeedState; readonly proof: ForkProof }[];
  readonly erasures?: readonly Erasure[];
  /** Entries that are forgotten, with those of their ops that are found from no record. */
  readonly dropped?: Pick<Dropped, 'entries' | 'ops'>;
  /** Own writes that somebody waits for. */
  readonly local: boolean;
  /** Waits for the disk. */
  readonly sync: boolean;
}

/** The one way to the disk: one batch for all that a commit changes, and nobody else of the ledger between its beginning and its end. */
export class Commits {
  readonly #parts: LedgerParts;
  readonly #epoch: OwnEpoch;

  constructor(parts: LedgerParts, epoch: OwnEpoch) {
    this.#parts = parts;
    this.#epoch = epoch;
  }

  /** Effects of a commit to come. Pending forks count from the moment they are known, before their commit. */
  effects(
    turn: Turn,
    merges: Merges,
    forks: ReadonlyMap<string, number> = new Map<string, number>(),
  ): Effects {
    const { store } = this.#parts;
    const effective = (ref: OpRef): boolean => {
      const known = store.feed(ref.author, ref.channel, ref.epoch)?.fork?.seq ?? Infinity;
      return ref.seq < Math.min(known, forks.get(feedId(ref)) ?? Infinity);
    };
    return new Effects(store, merges, effective, turn);
  }

  /** Writes; returns the records as they changed. */
  async write(what: ToCommit, turn: Turn): Promise<readonly RecordChange[]> {
    const { effects, entries, local } = what;
    const { erasing } = effects;
    const records = effects.changes();
    const verdicts = await effects.verdicts();
    const batch = {
      entries: [
        ...entries.map(({ feed, entry }) => ({ feed, entry: erasing.asStored(entry) })),
        ...erasing.rewritten(),
      ],
      feeds: what.feeds,
      records,
      verdicts,
      awaiting: effects.awaiting,
      proofs: what.proofs ?? [],
      erasures: [...(what.erasures ?? []), ...erasing.erasures],
      erased: erasing.erased,
      ...(what.dropped === undefined ? {} : { dropped: allDropped(what.dropped, effects) }),
      sync: what.sync,
    };
    await this.#parts.store.commit(batch, turn).catch((error: unknown) => this.#failed(error));
    const erased = [...new Set(erasing.erased.map(({ key }) => key))];
    const proofs = batch.proofs.map(({ proof }) => proof);
    const told = entries.map(({ entry }) => entry);
    // No turn ends between the batch and this: commits are told in the order in which they are written.
    this.#parts.onCommit({ entries: told, local, changes: records, proofs, erased });
    return records;
  }

  /** Whether the batch reached the disk is unknown: another entry at the same place could fork the feed. */
  #failed(error: unknown): never {
    this.#epoch.renew();
    const code = error instanceof AgrinetError ? error.code : 'internal';
    this.#parts.onAlarm({ kind: 'commit-failed', code });
    throw error;
  }
}

function allDropped(
  { entries, ops }: Pick<Dropped, 'entries' | 'ops'>,
  { dropped, gone }: Pick<Effects, 'dropped' | 'gone'>,
): Dropped {
  return { entries, ops: [...dropped, ...ops], gone };
}
