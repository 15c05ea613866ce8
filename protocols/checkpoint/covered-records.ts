import type { FrontierItem } from '../feed/frontier.ts';
import { decodeOp } from '../feed/op.ts';
import type { LedgerStore } from '../ledger/ports.ts';
import { RecordOps } from '../ledger/record-ops.ts';
import type { Turn } from '../ledger/turn.ts';
import type { Floor } from '../open-dialog/floor.ts';
import type { OpRef, RecordState } from '../open-dialog/record.ts';
import { evaluateRecord, type TOO_MANY_HEADS } from '../open-dialog/rule.ts';
import type { PeerId } from '../wire/identity.ts';
import type { RecordKey } from '../wire/ids.ts';
import { floorOfState } from './floor-of-state.ts';

/** What the covered ops of a record give; `too-many-heads` where no floor can say it, undefined where nothing of them is applied. */
export type CoveredRecord = Floor | typeof TOO_MANY_HEADS | undefined;

/** Beyond so many tries an author's writes are no excuse any more for two evaluations that differ. */
const TRIES = 5;

/** Which of the ops of a record are looked at. */
interface Wanted {
  /** Whether it stands below every fork. */
  readonly isEffective: (ref: OpRef) => boolean;
  readonly isLeftOut: (ref: OpRef) => boolean;
}

/**
 * The records of an author's public feeds as their covered ops give them: a function of the entries at or below the covers, so it is the
 * same however much more is held, and while more comes.
 */
export class CoveredRecords {
  readonly #store: LedgerStore;
  readonly #turn: Turn;
  readonly #covers: ReadonlyMap<string, number>;
  /** Whether a fork that the covers do not tell takes away here what they cover: then the states here are of less. */
  readonly #isCut: boolean;
  readonly #isFromOps: boolean;

  constructor(
    store: LedgerStore,
    author: PeerId,
    covers: readonly FrontierItem[],
    { turn, isFromOps = false }: { readonly turn: Turn; readonly isFromOps?: boolean },
  ) {
    this.#store = store;
    this.#turn = turn;
    this.#isFromOps = isFromOps;
    this.#covers = new Map(covers.map(({ epoch, seq }) => [epoch, seq]));
    const feeds = store.feeds(author, 'public');
    this.#isCut = feeds.some(({ epoch, fork }) => fork !== undefined && fork.seq <= this.#seqOf(epoch));
  }

  /** Whether the covered ops are all that there is of a record. */
  async isWhole(key: RecordKey): Promise<boolean> {
    for (const { no, epoch } of await this.#store.opFeeds(key)) {
      const [last] = await this.#store.opPlaces(key, no, { reverse: true }, 1);
      if (last !== undefined && last.seq > this.#seqOf(epoch)) return false;
    }
    return true;
  }

  /** Its floor. `state` was read before it was asked whether the record `isWhole`. */
  async floor(state: RecordState, isWhole: boolean): Promise<CoveredRecord> {
    const isShown = isWhole && !this.#isCut && !this.#isFromOps;
    const shown = isShown ? floorOfState(state) : undefined;
    if (shown !== undefined) return shown;
    const isLeftOut = (ref: OpRef): boolean => !this.isCovered(ref);
    return this.#evaluated(state.key, { isEffective: () => true, isLeftOut }, await this.#before(state.key));
  }

  /** Whether a record above this floor shows the same heads and values as it does now. */
  async isKept(key: RecordKey, floor: Floor | undefined): Promise<boolean> {
    const isEffective = ({ author, epoch, seq }: OpRef): boolean =>
      seq < (this.#store.feed(author, 'public', epoch)?.fork?.seq ?? Infinity);
    // What comes in between is in one and not in the other: then both are made again.
    for (let tries = 0; tries < TRIES; tries++) {
      const before = await this.#before(key);
      const now = await this.#evaluated(key, { isEffective, isLeftOut: () => false }, before);
      const isLeftOut = (ref: OpRef): boolean => this.isCovered(ref);
      const above = await this.#evaluated(key, { isEffective, isLeftOut }, floor);
      if (shows(now) === shows(above)) return true;
    }
    return false;
  }

  /** Where the covered ops of a type stand that a record has. */
  async places(key: RecordKey, type: string): Promise<OpRef[]> {
    const found: OpRef[] = [];
    for (const ref of await this.#store.recordRefs(key, this.#turn)) {
      if (!this.isCovered(ref)) continue;
      const no = this.#store.feed(ref.author, ref.channel, ref.epoch)?.no;
      const placed = no === undefined ? undefined : await this.#store.opAt(key, no, ref);
      if (placed !== undefined && decodeOp(placed.bytes)?.t === type) found.push(ref);
      if (this.#turn.isOver()) await this.#turn.next();
    }
    return found;
  }

  isCovered({ epoch, seq }: Pick<OpRef, 'epoch' | 'seq'>): boolean {
    return seq <= this.#seqOf(epoch);
  }

  /** The floor that a record has by the checkpoint in effect, upon which it is evaluated; a fact has its op. */
  #before(key: RecordKey): Promise<Floor | undefined> {
    return this.#store.floor(key);
  }

  async #evaluated(
    key: RecordKey,
    { isEffective, isLeftOut }: Wanted,
    floor: Floor | undefined,
  ): Promise<CoveredRecord> {
    const ops = await new RecordOps(this.#store, isEffective, { isErased: isLeftOut }, this.#turn).of(key);
    const evaluated = await ops.answer(evaluateRecord(key, ops.feeds, undefined, { floor }));
    return ops.answer(evaluated.floor());
  }

  #seqOf(epoch: string): number {
    return this.#covers.get(epoch) ?? 0;
  }
}

/** What somebody who reads a record sees of a floor, as one text; its times are for lists. */
function shows(floor: CoveredRecord): string {
  if (typeof floor !== 'object') return String(floor);
  if (floor.kind === 'ended') return `ended ${floor.tombstone} ${floor.erased}`;
  if (floor.kind === 'fact') return 'fact';
  return JSON.stringify([floor.heads, floor.maxOp, floor.values]);
}
