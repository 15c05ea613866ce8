import { AgrinetError } from '../errors.ts';
import { decodeEntry, type Entry } from '../feed/entry.ts';
import type { FeedState } from '../feed/feed.ts';
import { type Gap, isKept } from '../feed/gap.ts';
import { readOp } from '../open-dialog/read-op.ts';
import type { OpRef } from '../open-dialog/record.ts';
import type { RecordKey } from '../wire/ids.ts';
import { LIMITS } from '../wire/limits.ts';
import type { Commits } from './commits.ts';
import type { Effects } from './effects.ts';
import type { MergeGate } from './merge-gate.ts';
import { serialKeyOf } from './serial-key.ts';
import type { TaskScheduler } from './scheduler.ts';
import { placedOps } from './placed-ops.ts';
import type { Turn } from './turn.ts';
import type { LedgerParts } from './types.ts';

/** How much of one feed would be removed, and how much kept. */
export interface FeedLook {
  readonly feed: FeedState;
  readonly entries: number;
  readonly bytes: number;
  readonly ops: number;
  readonly keptBytes: number;
  /** Of the entries that stay, by sequence, the ops that have effect. */
  readonly kept: ReadonlyMap<number, ReadonlySet<number>>;
}

export interface ForgettingParts {
  readonly ledger: LedgerParts;
  readonly scheduler: TaskScheduler;
  readonly commits: Commits;
  readonly gate: MergeGate;
}

/** So many bytes of entries are in memory at once. */
const BATCH_BYTES = LIMITS.entryBytes;

/**
 * Drops what an author has left. A feed is examined first, then noted as forgotten (`Store.forget`); from then on nothing beyond
 * what is kept belongs to it. What `sweep` removes afterwards has no effect any more, so it may be interrupted anywhere and
 * continued later.
 */
export class Forgetting {
  readonly #parts: ForgettingParts;

  constructor(parts: ForgettingParts) {
    this.#parts = parts;
  }

  /** Counts; `keeps` says whether the ops of a record are kept. What an earlier forgetting has kept of the feed stays as it is. */
  look(
    feed: FeedState,
    keeps: (key: RecordKey) => boolean,
    onEntry: () => void,
    signal: AbortSignal,
  ): Promise<FeedLook> {
    const { store } = this.#parts.ledger;
    const { author, channel } = feed;
    const before = store.gap(feed.no);
    const kept = new Map([...(before?.kept ?? [])].filter(([seq]) => seq > feed.seq));
    const sums = { entries: 0, bytes: 0, ops: 0, keptBytes: 0 };
    return this.#parts.scheduler.run({ author, serialKey: serialKeyOf(author, channel) }, async (turn) => {
      for await (const bytes of store.entriesFrom(feed.no, 1, feed.seq)) {
        checkGoing(signal);
        onEntry();
        if (turn.isOver()) await turn.next();
        const entry = decodeEntry(bytes);
        const staying = await stayingOps(entry, keeps, turn);
        sums.ops += entry.header.n - staying.size;
        if (staying.size === 0) {
          sums.entries++;
          sums.bytes += bytes.length;
        } else {
          sums.keptBytes += bytes.length;
          kept.set(entry.header.seq, staying);
        }
      }
      return { feed, ...sums, kept };
    });
  }

  /** Removes what is not kept beyond the head of a forgotten feed; `onEntry` is called for each entry examined. */
  async sweep(gap: Gap, onEntry: () => void, signal: AbortSignal): Promise<void> {
    const { author, channel } = gap;
    const place = { author, serialKey: serialKeyOf(author, channel) };
    for (let after = 0, isMore = true; isMore;) {
      checkGoing(signal);
      isMore = await this.#parts.scheduler.run(place, async (turn) => {
        const entries = await this.#some(gap, after);
        after = entries.at(-1)?.header.seq ?? after;
        if (entries.length > 0) await this.#drop(gap, entries, turn);
        for (let n = 0; n < entries.length; n++) onEntry();
        return entries.length > 0;
      });
    }
  }

  /** Evaluates again the ops in a private channel whose creation was removed with the feed. */
  refound({ author, channel }: Gap): Promise<void> {
    const { ledger, scheduler, commits, gate } = this.#parts;
    if (channel === 'public') return Promise.resolve();
    return scheduler.run({ author, serialKey: serialKeyOf(author, channel) }, async (turn) => {
      const effects = commits.effects(turn, gate.for(ledger.merges));
      await effects.load([channel]);
      if (effects.state(channel)?.members !== undefined) return;
      effects.turn(channel);
      await effects.evaluateRemaining();
      if (effects.changes().length > 0 || effects.turnedLater.size > 0)
        await commits.write({ effects, entries: [], feeds: [], local: false, sync: false }, turn);
    });
  }

  async #some({ no, author, channel, epoch, seq }: Gap, after: number): Promise<Entry[]> {
    const { store } = this.#parts.ledger;
    const head = store.feed(author, channel, epoch)?.seq ?? 0;
    const entries: Entry[] = [];
    let [bytes, ops] = [0, 0];
    for await (const each of store.entriesFrom(no, Math.max(after, head) + 1, seq)) {
      const entry = decodeEntry(each);
      entries.push(entry);
      bytes += each.length;
      ops += entry.header.n;
      if (bytes >= BATCH_BYTES || ops >= LIMITS.entryOps) break;
    }
    return entries;
  }

  /** One commit: these entries, as far as they are not kept, and all that their records have of this author. */
  async #drop(gap: Gap, entries: readonly Entry[], turn: Turn): Promise<void> {
    const { ledger, commits, gate } = this.#parts;
    const { store } = ledger;
    const feed = store.feed(gap.author, gap.channel, gap.epoch);
    if (feed === undefined) return;
    const effects = commits.effects(turn, gate.for(ledger.merges));
    const seen = new Set<RecordKey>();
    const ops = new Map<string, OpRef>();
    for (const entry of entries) {
      for (const { bytes: _, time: __, ...ref } of placedOps(entry))
        if (!isKept(gap, ref.seq, ref.index)) ops.set(`${ref.seq} ${ref.index}`, ref);
      for (const placed of placedOps(entry)) {
        if (turn.isOver()) await turn.next();
        const read = readOp(placed);
        // An op that is rejected by itself is found from no record.
        if ('problem' in read) continue;
        const { key } = read;
        if (seen.has(key) || isKept(gap, placed.seq, placed.index)) continue;
        seen.add(key);
        await this.#dropOf(key, effects, turn);
      }
    }
    await effects.evaluateRemaining();
    for (const { ref } of effects.dropped) if (ref.epoch === gap.epoch) ops.delete(`${ref.seq} ${ref.index}`);
    const dropped = {
      entries: entries.filter(({ header }) => !gap.kept.has(header.seq)).map((entry) => ({ feed, entry })),
      ops: [...ops.values()].map((ref) => ({ ref, key: undefined })),
    };
    await commits.write({ effects, entries: [], feeds: [], dropped, local: false, sync: false }, turn);
  }

  /** The forgotten entries' part of a record. */
  async #dropOf(key: RecordKey, effects: Effects, turn: Turn): Promise<void> {
    const { store } = this.#parts.ledger;
    const refs = await store.recordRefs(key, turn);
    const gone = refs.filter((ref) => {
      const feed = store.feed(ref.author, ref.channel, ref.epoch);
      const gap = feed && store.gap(feed.no);
      return gap !== undefined && ref.seq > (feed?.seq ?? 0) && !isKept(gap, ref.seq, ref.index);
    });
    if (gone.length > 0) await effects.drop(key, gone, gone.length === refs.length);
  }
}

async function stayingOps(
  entry: Entry,
  keeps: (key: RecordKey) => boolean,
  turn: Turn,
): Promise<Set<number>> {
  const staying = new Set<number>();
  for (const placed of placedOps(entry)) {
    if (turn.isOver()) await turn.next();
    const read = readOp(placed);
    if (!('problem' in read) && keeps(read.key)) staying.add(placed.index);
  }
  return staying;
}

function checkGoing(signal: AbortSignal): void {
  if (signal.aborted)
    throw new AgrinetError('stopping', 'the node is stopping; this continues at its next start');
}
