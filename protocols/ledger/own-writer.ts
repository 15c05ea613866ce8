import { AgrinetError } from '../errors.ts';
import { readOp } from '../open-dialog/read-op.ts';
import type { RecordState } from '../open-dialog/record.ts';
import { collectionOf } from '../open-dialog/schema.ts';
import { parseRecordKey, type RecordKey } from '../wire/ids.ts';
import { LIMITS } from '../wire/limits.ts';
import type { Commits } from './commits.ts';
import { type Draft, RECORD_PARTIAL } from './drafts.ts';
import type { Effects } from './effects.ts';
import { advanced } from './held-feed.ts';
import { serialKeyOf } from './serial-key.ts';
import type { TaskScheduler } from './scheduler.ts';
import type { OwnEpoch } from './own-epoch.ts';
import { checkFits, OpenEntries } from './open-entries.ts';
import type { Turn } from './turn.ts';
import type { LedgerParts, WriteRequest, Written } from './types.ts';

interface PendingWrite {
  readonly request: WriteRequest;
  resolve(written: Written): void;
  reject(error: unknown): void;
}

interface Drafted {
  readonly drafts: readonly Draft[];
  readonly before: readonly (RecordState | undefined)[];
}

/** `full`: it begins the next entry. `held`: an entry with this serial key is being processed. */
type Outcome = Drafted | { readonly full: true } | { readonly held: string };

/** A write that has left the queue, and its outcome. */
interface Taken {
  readonly pending: PendingWrite;
  readonly drafted: Drafted;
}

const NOTHING: Drafted = { drafts: [], before: [] };

/** Local writes that may wait; beyond this the caller is told to try again. */
const MAX_WAITING = 20_000;

/** One commit of own writes under way. */
interface Batch {
  readonly effects: Effects;
  readonly pages: OpenEntries;
  readonly epoch: string;
}

/** This node's own writes: those that wait together share one entry, one signature and one fsync. */
export class OwnWriter {
  readonly #parts: LedgerParts;
  readonly #commits: Commits;
  readonly #epoch: OwnEpoch;
  readonly #scheduler: Pick<TaskScheduler, 'isHeld' | 'wake'>;
  #writes: PendingWrite[] = [];
  /** Writes that wait for a serial key. */
  readonly #held = new Map<string, PendingWrite[]>();
  #heldCount = 0;
  /** Serial keys that nobody gets any more. */
  readonly #closed = new Map<string, AgrinetError>();

  get #ownKey(): string {
    return serialKeyOf(this.#parts.identity.peerId, 'public');
  }

  constructor(
    parts: LedgerParts,
    commits: Commits,
    epoch: OwnEpoch,
    scheduler: Pick<TaskScheduler, 'isHeld' | 'wake'>,
  ) {
    this.#parts = parts;
    this.#commits = commits;
    this.#epoch = epoch;
    this.#scheduler = scheduler;
  }

  /** Resolves when the write is on disk. */
  add(request: WriteRequest): Promise<Written> {
    const refusal = this.#closed.get(this.#ownKey) ?? this.#parts.refusal();
    if (refusal !== undefined) return Promise.reject(refusal);
    if (this.#writes.length + this.#heldCount >= MAX_WAITING)
      return Promise.reject(new AgrinetError('busy', 'too many writes are waiting; try again'));
    return new Promise<Written>((resolve, reject) => this.#writes.push({ request, resolve, reject }));
  }

  /** Waiting writes are drafted while the batch before them is synced, and no earlier: the more wait, the more share one sync. */
  isWaiting(): boolean {
    return this.#writes.length > 0 && this.#commits.hasRoom;
  }

  /** The serial key is free: what waited for it comes first, in order. */
  freed(serialKey: string): void {
    const waiting = this.#held.get(serialKey);
    if (waiting === undefined) return;
    this.#held.delete(serialKey);
    this.#heldCount -= waiting.length;
    this.#writes = [...waiting, ...this.#writes];
  }

  /** It will not be free: whoever waits for it is told why. All writes wait for the own key. */
  closed(serialKey: string, error: AgrinetError): void {
    this.#closed.set(serialKey, error);
    const waiting = this.#held.get(serialKey) ?? [];
    this.#held.delete(serialKey);
    this.#heldCount -= waiting.length;
    for (const pending of waiting) pending.reject(error);
    if (serialKey === this.#ownKey) for (const pending of this.#writes.splice(0)) pending.reject(error);
  }

  /**
   * Drafts as many of the waiting writes as fit in one entry of each channel and hands them over; each caller is answered when its
   * own batch is on disk. Never throws: errors go to the callers.
   */
  async commit(turn: Turn): Promise<void> {
    const { merges, ownMerges = merges } = this.#parts;
    const epoch = this.#epoch.id;
    const effects = this.#commits.effects(turn, ownMerges);
    const batch = { effects, pages: new OpenEntries(this.#parts, epoch), epoch };
    const open = this.#writes.splice(0, LIMITS.entryOps);
    // A write whose caller is told of a failure has left the queue, so a refused write cannot be done later.
    const taken: Taken[] = [];
    try {
      await this.#load(open, taken, effects);
      await this.#draftAll(open, taken, batch, turn);
      await effects.evaluateRemaining();
      const { written } = await this.#handOver(batch, turn);
      void this.#tell(taken, effects, written);
    } catch (error) {
      for (const { pending } of taken) pending.reject(error);
    }
  }

  async #tell(taken: readonly Taken[], effects: Effects, written: Promise<unknown>): Promise<void> {
    try {
      await written;
      for (const { pending, drafted } of taken) pending.resolve(writtenOf(drafted, effects));
    } catch (error) {
      for (const { pending } of taken) pending.reject(error);
    } finally {
      this.#scheduler.wake();
    }
  }

  async #load(open: PendingWrite[], taken: Taken[], effects: Effects): Promise<void> {
    try {
      await effects.load(open.flatMap(({ request }) => request.keys));
    } catch (error) {
      for (const pending of open.splice(0)) taken.push({ pending, drafted: NOTHING });
      throw error;
    }
  }

  async #draftAll(open: PendingWrite[], taken: Taken[], batch: Batch, turn: Turn): Promise<void> {
    try {
      for (let pending = open.shift(); pending !== undefined; pending = open.shift()) {
        taken.push({ pending, drafted: NOTHING });
        const outcome = await this.#draft(pending, batch);
        if (outcome === undefined || 'held' in outcome) taken.pop();
        else if ('full' in outcome) {
          taken.pop();
          open.unshift(pending);
          break;
        } else taken.splice(-1, 1, { pending, drafted: outcome });
        if (outcome !== undefined && 'held' in outcome) this.#hold(outcome.held, pending);
        if (turn.isOver()) await turn.next();
      }
    } finally {
      if (open.length > 0) this.#writes = [...open, ...this.#writes];
    }
  }

  #hold(serialKey: string, pending: PendingWrite): void {
    const closed = this.#closed.get(serialKey);
    if (closed !== undefined) return pending.reject(closed);
    const waiting = this.#held.get(serialKey);
    if (waiting === undefined) this.#held.set(serialKey, [pending]);
    else waiting.push(pending);
    this.#heldCount++;
  }

  /** Drafts one write and applies it; undefined when it was refused and its caller told so. */
  async #draft(pending: PendingWrite, batch: Batch, hasBase = false): Promise<Outcome | undefined> {
    const { effects, pages, epoch } = batch;
    const author = this.#parts.identity.peerId;
    let drafts: readonly Draft[];
    try {
      drafts = pending.request.draft({ author, epoch }, (key) => effects.state(key));
      checkFits(drafts);
    } catch (error) {
      const partial = hasBase ? undefined : partialRecord(error);
      if (partial !== undefined) {
        await effects.whole(partial, { author, epoch });
        return this.#draft(pending, batch, true);
      }
      pending.reject(error);
      return undefined;
    }
    const channels = drafts.flatMap(({ channel }) => (channel === 'public' ? [] : [channel]));
    // What is being processed there may change what this was drafted from, so it is drafted again when that is done.
    const held = channels.find((channel) => this.#scheduler.isHeld(serialKeyOf(author, channel)));
    if (held !== undefined) return { held: serialKeyOf(author, held) };
    await effects.load([...drafts.map(({ key }) => key), ...channels]);
    // A fact that is already there is not written again: the same import twice writes nothing.
    drafts = drafts.map((draft) =>
      isFact(draft.key) && effects.state(draft.key)?.exists === true ? { ...draft, ops: [] } : draft,
    );
    if (!pages.hasRoomFor(drafts)) return { full: true };
    const before = drafts.map((draft) => effects.state(draft.key));
    for (const draft of drafts) if (draft.ops.length > 0) await this.#take(draft, { effects, pages, epoch });
    return { drafts, before };
  }

  async #take(draft: Draft, { effects, pages, epoch }: Batch): Promise<void> {
    const author = this.#parts.identity.peerId;
    const page = pages.at(draft.channel);
    for (const bytes of draft.ops) {
      const index = page.ops.push(bytes) - 1;
      page.bytes += bytes.length + 4;
      const { channel, seq, time } = page.place;
      const { arrived } = page;
      const placed = { author, channel, epoch, seq, index, bytes, time, arrived };
      const verdict = effects.take(placed, draft.read ?? readOp(placed));
      if (verdict === undefined) await effects.evaluateRemaining();
    }
  }

  async #handOver({ effects, pages }: Batch, turn: Turn): Promise<{ readonly written: Promise<unknown> }> {
    const entries = pages.sign();
    // The records that these found already as wanted may still be in flight.
    if (entries.length === 0) return { written: this.#commits.landed(effects) };
    const feeds = entries.map(({ feed, entry }) => advanced(feed, entry));
    return this.#commits.handOver({ effects, entries, feeds, local: true, sync: true }, turn);
  }
}

function writtenOf({ drafts, before }: Drafted, effects: Effects): Written {
  return {
    records: drafts.map(({ key, ops }, i) => ({
      key,
      before: before[i],
      after: effects.state(key),
      changed: ops.length > 0,
    })),
  };
}

/** The record of which a draft needs more than its state holds. */
function partialRecord(error: unknown): RecordKey | undefined {
  if (!(error instanceof AgrinetError) || error.code !== RECORD_PARTIAL) return undefined;
  const { key } = error.details;
  return parseRecordKey(key) === undefined ? undefined : (key as RecordKey);
}

function isFact(key: RecordKey): boolean {
  return collectionOf(key)?.kind === 'fact';
}
