import type { OpRef, PlacedOp } from '../open-dialog/record.ts';
import type { RecordKey } from '../wire/ids.ts';
import type { Erasing } from './erasing.ts';
import type { LedgerStore } from './ports.ts';
import type { Turn } from './turn.ts';

/** All ops of a record, sorted out. */
export interface OpsOfRecord {
  /** Those that have effect: the stored ones, then those of this commit. */
  readonly effective: readonly PlacedOp[];
  /** How many of them were stored before. */
  readonly stored: number;
  /** Those that a fork has taken it from. */
  readonly forked: readonly PlacedOp[];
}

/** The ops of records: those that are stored and those that one commit brings. */
export class RecordOps {
  readonly #store: LedgerStore;
  readonly #turn: Turn;
  readonly #isEffective: (ref: OpRef) => boolean;
  readonly #erasing: Pick<Erasing, 'isErased'>;
  readonly #fresh = new Map<RecordKey, PlacedOp[]>();

  /** `isEffective` says of a stored op whether it stands below every fork of its feed. */
  constructor(
    store: LedgerStore,
    isEffective: (ref: OpRef) => boolean,
    erasing: Pick<Erasing, 'isErased'>,
    turn: Turn,
  ) {
    this.#store = store;
    this.#isEffective = isEffective;
    this.#erasing = erasing;
    this.#turn = turn;
  }

  add(key: RecordKey, placed: PlacedOp): void {
    const fresh = this.#fresh.get(key);
    if (fresh === undefined) this.#fresh.set(key, [placed]);
    else fresh.push(placed);
  }

  /** Whether a feed holds an op of this record, with what this commit brings. */
  async hasOf(
    key: RecordKey,
    { author, channel, epoch }: Pick<PlacedOp, 'author' | 'channel' | 'epoch'>,
  ): Promise<boolean> {
    const isFresh = this.#fresh.get(key)?.some((op) => op.author === author && op.epoch === epoch) === true;
    return isFresh || (await this.#store.hasOps(key, { author, channel, epoch }));
  }

  async of(key: RecordKey): Promise<OpsOfRecord> {
    const stored: PlacedOp[] = [];
    const forked: PlacedOp[] = [];
    for (const ref of await this.#store.recordOps(key, this.#turn)) {
      if (this.#turn.isOver()) await this.#turn.next();
      if (this.#erasing.isErased(ref)) continue;
      if (this.#isEffective(ref)) stored.push(ref);
      else forked.push(ref);
    }
    const fresh = (this.#fresh.get(key) ?? []).filter((ref) => !this.#erasing.isErased(ref));
    return { effective: [...stored, ...fresh], stored: stored.length, forked };
  }
}
