import { actorOf, type ReadOp } from '../open-dialog/read-op.ts';
import type { PlacedOp } from '../open-dialog/record.ts';
import { evaluateRecord } from '../open-dialog/rule.ts';
import { type Collection, collectionOf } from '../open-dialog/schema.ts';
import type { RecordKey } from '../wire/ids.ts';
import type { CommitFloors } from './commit-floors.ts';
import type { CommitRecords } from './commit-records.ts';
import type { Writer } from './drafts.ts';
import type { RecordOps } from './record-ops.ts';

/** What a change follows, for records that hold more than their state does. */
export class DraftBase {
  readonly #records: CommitRecords;
  readonly #ops: RecordOps;
  readonly #floors: Pick<CommitFloors, 'of'>;

  constructor(records: CommitRecords, ops: RecordOps, floors: Pick<CommitFloors, 'of'>) {
    this.#records = records;
    this.#ops = ops;
    this.#floors = floors;
  }

  /** Marks the actor of an incoming change as new, where the state cannot tell and its feed holds nothing of the record. */
  async meet(read: ReadOp, placed: PlacedOp): Promise<void> {
    if ('problem' in read || read.reading.kind !== 'change') return;
    const state = this.#records.state(read.key);
    const { actor } = read.reading.change;
    if (state?.rest?.actors === undefined || state.seqs[actor] !== undefined) return;
    if (actor === actorOf(placed.author, placed.epoch, read.key))
      await this.#isNew(read.key, read.collection, placed);
  }

  /** Makes ready what a change of this writer is drafted on, whatever the record has: its ops are read one by one. */
  async prepare(key: RecordKey, writer: Writer): Promise<void> {
    const state = this.#records.state(key);
    const collection = collectionOf(key);
    if (state === undefined || collection === undefined) return;
    const { rest, channel } = state;
    if (rest?.heads === undefined && rest?.values === undefined)
      if (await this.#isNew(key, collection, { ...writer, channel })) return;
    const ops = await this.#ops.of(key);
    const actor = actorOf(writer.author, writer.epoch, key);
    const members = this.#records.members(state);
    const floor = await this.#floors.of(key, true);
    const { follows, visibleAt } = await ops.answer(
      evaluateRecord(key, ops.feeds, members, { actor, floor }),
    );
    if (follows === undefined) return;
    const fieldOps = await ops.answer(visibleAt(follows));
    this.#records.open(key, collection, channel).base = { ...follows, fieldOps };
  }

  /** Whether a feed holds nothing of the record; its actor is then marked as new. */
  async #isNew(
    key: RecordKey,
    collection: Collection,
    feed: Pick<PlacedOp, 'author' | 'channel' | 'epoch'>,
  ): Promise<boolean> {
    if (await this.#ops.hasOf(key, feed)) return false;
    const actor = actorOf(feed.author, feed.epoch, key);
    this.#records.open(key, collection, feed.channel).seqs[actor] = [0, 0];
    return true;
  }
}
