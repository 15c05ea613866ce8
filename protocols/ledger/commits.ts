import { AgrinetError } from '../errors.ts';
import { compareTimes, type HlcTime } from '../feed/clock.ts';
import type { Entry } from '../feed/entry.ts';
import { feedId, type FeedState } from '../feed/feed.ts';
import type { ForkProof } from '../feed/fork.ts';
import type { Erasure } from '../feed/erasure.ts';
import type { Merges } from '../open-dialog/merger.ts';
import type { OpRef } from '../open-dialog/record.ts';
import type { RecordKey } from '../wire/ids.ts';
import type { Ahead } from './ahead.ts';
import { Effects } from './effects.ts';
import type { OwnEpoch } from './own-epoch.ts';
import type { Dropped, FloorStep, RecordChange } from './ports.ts';
import { isRestated } from './commit-records.ts';
import type { Turn } from './turn.ts';
import type { LedgerParts } from './types.ts';

/** What a commit writes besides its effects. */
export interface ToCommit {
  readonly effects: Effects;
  readonly entries: readonly { readonly feed: FeedState; readonly entry: Entry }[];
  readonly feeds: readonly FeedState[];
  readonly proofs?: readonly { readonly feed: FeedState; readonly proof: ForkProof }[];
  readonly erasures?: readonly Erasure[];
  /** Entries that are forgotten, with those of their ops that are found from no record. */
  readonly dropped?: Pick<Dropped, 'entries' | 'ops'>;
  /** A channel all of whose facts have been evaluated again. */
  readonly evaluated?: RecordKey;
  /** Records begin above a checkpoint from here on: most of them show what they have shown. */
  readonly floors?: FloorStep;
  /** Own writes that somebody waits for. */
  readonly local: boolean;
  /** Waits for the disk. */
  readonly sync: boolean;
}

/** A commit on its way. */
interface Changed {
  readonly written: Promise<readonly RecordChange[]>;
}

/** The one way to the disk: one batch for all that a commit changes, written in the order in which they got their places. */
export class Commits {
  readonly #parts: Omit<LedgerParts, 'store'>;
  readonly #store: Ahead;
  readonly #epoch: OwnEpoch;
  readonly #onTurned: (channel: RecordKey) => void;

  /** `onTurned` is told of channels whose facts are to be evaluated again after a commit. */
  constructor(
    parts: Omit<LedgerParts, 'store'>,
    store: Ahead,
    epoch: OwnEpoch,
    onTurned: (channel: RecordKey) => void,
  ) {
    this.#onTurned = onTurned;
    this.#parts = parts;
    this.#store = store;
    this.#epoch = epoch;
  }

  /** Whether one more commit may be on its way. */
  get hasRoom(): boolean {
    return this.#store.hasRoom;
  }

  /** Resolves when all that these effects may have read is written; rejects when some of it failed. */
  landed(effects: Effects): Promise<void> {
    if (effects.since === this.#store.failures) return this.#store.landed();
    const why = this.#parts.refusal();
    return Promise.reject(
      why ?? new AgrinetError('storage-failed', 'the write before this one failed; try again'),
    );
  }

  /**
   * Effects of the next commit. Pending forks count from the moment they are known, before their commit. A caller that has already
   * read from the store passes the number of failed commits at that time, because it may have read from one that has failed since.
   */
  effects(
    turn: Turn,
    merges: Merges,
    { forks, since }: { readonly forks: ReadonlyMap<string, number>; readonly since: number } = {
      forks: new Map<string, number>(),
      since: this.#store.failures,
    },
  ): Effects {
    const store = this.#store;
    const effective = (ref: OpRef): boolean => {
      const known = store.feed(ref.author, ref.channel, ref.epoch)?.fork?.seq ?? Infinity;
      return ref.seq < Math.min(known, forks.get(feedId(ref)) ?? Infinity);
    };
    return new Effects(store, merges, effective, turn, since, this.#parts.wholeOps);
  }

  /** Returns the records as they changed, when that is written. */
  async write(what: ToCommit, turn: Turn): Promise<readonly RecordChange[]> {
    const { written } = await this.handOver(what, turn);
    return turn.away(() => written);
  }

  /**
   * Gives a commit its place behind those on their way; from now on all others build on it. `written` gives the records as they
   * changed, when they are as durable as was asked for, and rejects when this commit failed or one before it.
   */
  async handOver(what: ToCommit, turn: Turn): Promise<Changed> {
    const { effects, entries, local, floors } = what;
    const { erasing } = effects;
    const changes = effects.changes();
    const restated = floors === undefined ? [] : changes.filter(isRestated);
    const records = floors === undefined ? changes : changes.filter((change) => !isRestated(change));
    const verdicts = await effects.verdicts();
    const batch = {
      entries: [
        ...entries.map(({ feed, entry }) => ({ feed, entry: erasing.asStored(entry) })),
        ...erasing.rewritten(),
      ],
      feeds: what.feeds,
      records,
      verdicts,
      past: effects.past(),
      awaiting: effects.awaiting,
      ...(what.evaluated === undefined ? {} : { evaluated: what.evaluated }),
      proofs: what.proofs ?? [],
      erasures: [...(what.erasures ?? []), ...erasing.erasures],
      checkpoints: effects.checkpoints,
      erased: erasing.erased,
      unfloored: [...erasing.unfloored],
      ...(floors === undefined ? {} : { floors, restated }),
      ...(what.dropped === undefined ? {} : { dropped: allDropped(what.dropped, effects) }),
      ownTime: local ? newestTime(entries) : undefined,
      sync: what.sync,
    };
    const erased = [...new Set(erasing.erased.map(({ key }) => key))];
    const proofs = batch.proofs.map(({ proof }) => proof);
    const told = entries.map(({ entry }) => entry);
    const placed = await this.#store
      .handOver(batch, turn, effects.since)
      .catch((error: unknown) => this.#failed(error));
    const written = placed.written.then(
      () => {
        // The next batch is written after this one: listeners are notified of commits in the order in which they are written.
        const checkpoints = batch.checkpoints.map(({ checkpoint }) => checkpoint);
        this.#parts.onCommit({ entries: told, local, changes: records, proofs, erased, checkpoints });
        return records;
      },
      (error: unknown) => this.#failed(error),
    );
    written.catch(() => undefined); // told to whoever waits for it
    for (const channel of effects.turnedLater) this.#onTurned(channel);
    return { written };
  }

  /** Whether the batch reached the disk is unknown: another entry at the same place could fork the feed. */
  #failed(error: unknown): never {
    this.#epoch.renew();
    const code = error instanceof AgrinetError ? error.code : 'internal';
    this.#parts.onAlarm({ kind: 'commit-failed', code });
    throw error;
  }
}

function newestTime(entries: ToCommit['entries']): HlcTime | undefined {
  return entries
    .map(({ entry }) => entry.header.time)
    .toSorted(compareTimes)
    .at(-1);
}

function allDropped(
  { entries, ops }: Pick<Dropped, 'entries' | 'ops'>,
  { dropped, gone }: Pick<Effects, 'dropped' | 'gone'>,
): Dropped {
  return { entries, ops: [...dropped, ...ops], gone };
}
