import type { FeedState } from '../../protocols/feed/feed.ts';
import { isBeingUndone } from '../../protocols/feed/frontier.ts';
import { placedOps } from '../../protocols/ledger/placed-ops.ts';
import { emptyState } from '../../protocols/open-dialog/fast-path.ts';
import type { Merges } from '../../protocols/open-dialog/merger.ts';
import { evaluate, type Evaluation } from '../../protocols/open-dialog/rule.ts';
import { withoutMerge, withValues } from '../../protocols/open-dialog/values.ts';
import { sliced, soleTurn } from '../../protocols/ledger/turn.ts';
import { readOp } from '../../protocols/open-dialog/read-op.ts';
import type { Membership, PlacedOp, RecordState, Verdict } from '../../protocols/open-dialog/record.ts';
import { COLLECTIONS, collectionOf } from '../../protocols/open-dialog/schema.ts';
import type { RecordKey } from '../../protocols/wire/ids.ts';
import type { Database } from '../../storage/database.ts';
import { fullKey, range } from '../../storage/keyspace.ts';
import { numberIn } from '../../storage/past-rows.ts';
import type { Store } from '../../storage/store.ts';

/** What deriving reads: rows as stored, feeds as the store knows them. */
export interface DeriveParts {
  readonly db: Pick<Database, 'level' | 'env'>;
  readonly store: Pick<Store, 'feed' | 'feedNumbered' | 'entry' | 'gap' | 'floor' | 'coverOf'>;
  readonly merges: Merges;
  /** Ops of a record that are derived at most. */
  readonly opsOfRecord: number;
}

/** An op that a row of `recordOps` leads to, and the number of its feed. */
export interface FoundOp {
  readonly placed: PlacedOp;
  readonly no: number;
  /** The row, and the number of the change in it. */
  readonly row: string;
  readonly number: number | 'damaged' | undefined;
}

/** A record according to the feeds, by the rows that refer to its ops. */
export interface Derived {
  /** With their verdicts; ops at or above a fork have none. */
  readonly ops: readonly (FoundOp & { readonly verdict: Verdict })[];
  /** Rows of `recordOps` that lead to no op of this record. */
  readonly astray: readonly string[];
  /** Undefined when there should be none. */
  readonly state: RecordState | undefined;
}

/** Whether an op of this sequence has effect in its feed. */
const isBelowFork = (feed: FeedState, seq: number): boolean => seq < (feed.fork?.seq ?? Infinity);

/** Whether its feed's ops are losing their effect: until that is done what its records show is neither. */
function isPassing(
  store: Pick<DeriveParts['store'], 'feed'>,
  { author, channel, epoch }: Pick<PlacedOp, 'author' | 'channel' | 'epoch'>,
): boolean {
  const feed = store.feed(author, channel, epoch);
  return feed !== undefined && isBeingUndone(feed);
}

/**
 * Derives one record again; undefined when it cannot be told now (a merge is outstanding, or a fork is taking effect), `too-long` when
 * it has more ops than are derived. `unmerged` is a state whose merge is outstanding: its values are used as they are. Throws `value-damaged` when an entry that it needs cannot be
 * read.
 */
export async function deriveRecord(
  parts: DeriveParts,
  key: RecordKey,
  unmerged?: RecordState,
): Promise<Derived | 'too-long' | undefined> {
  const written = await opsOf(parts, key);
  if (written === 'too-long') return written;
  const { found, astray } = written;
  if (found.some(({ placed }) => isPassing(parts.store, placed))) return undefined;
  const effective = found.filter(
    (op) => isEffective(parts.store, op) && op.placed.seq > parts.store.coverOf(key, op.placed),
  );
  const [first] = effective;
  const isTold = first !== undefined && collectionOf(key)?.kind === 'fact';
  const floor = isTold ? undefined : await parts.store.floor(key);
  if (first === undefined && floor === undefined) return { ops: [], astray, state: emptied(key, found) };
  const channel = first?.placed.channel ?? 'public';
  const members = channel === 'public' || channel === key ? undefined : await membersOf(parts, channel);
  const ops = effective.map(({ placed }) => placed);
  const evaluation = await sliced(evaluate(key, ops, members, { floor }), soleTurn(parts.db.env));
  const { verdicts } = evaluation;
  const state = await stateOf(parts.merges, key, evaluation, unmerged);
  if (state === undefined) return undefined;
  return {
    ops: effective.flatMap((each, i) => {
      const verdict = verdicts[i];
      return verdict === undefined ? [] : [{ ...each, verdict }];
    }),
    astray,
    state,
  };
}

async function stateOf(
  merges: Merges,
  key: RecordKey,
  { outline, values: known, input }: Evaluation,
  shown: RecordState | undefined,
): Promise<RecordState | undefined> {
  if (shown?.unmerged !== undefined) return withoutMerge(outline, shown, shown.unmerged);
  if (input === undefined) return outline;
  const values = known ?? (await merges.merge(key, input));
  return typeof values === 'object' ? withValues(outline, values) : undefined;
}

/**
 * The members named by a channel's creation, from the feeds and not from a row that may be wrong. The channel's id commits to them:
 * any creation that has effect says the same, however long the channel's history is.
 */
async function membersOf(parts: DeriveParts, channel: RecordKey): Promise<Membership | undefined> {
  for await (const at of rowsOf(parts, channel)) {
    const read = at.found && isEffective(parts.store, at.found) ? readOp(at.found.placed) : undefined;
    if (read !== undefined && 'reading' in read && read.reading.kind === 'members')
      return read.reading.members;
  }
  return undefined;
}

function isEffective(
  store: Pick<DeriveParts['store'], 'feed'>,
  { placed: { author, channel, epoch, seq } }: FoundOp,
): boolean {
  const feed = store.feed(author, channel, epoch);
  return feed !== undefined && isBelowFork(feed, seq);
}

/** A fork took all ops away: the record stays, and shows nothing. */
function emptied(key: RecordKey, found: readonly FoundOp[]): RecordState | undefined {
  const collection = COLLECTIONS[key.slice(0, key.indexOf('/'))];
  const [first] = found;
  if (first === undefined || collection === undefined) return undefined;
  return emptyState(key, collection, first.placed.channel);
}

function numberOf(full: string, value: Uint8Array): FoundOp['number'] {
  try {
    return numberIn(full, value);
  } catch {
    return 'damaged';
  }
}

/** The ops to which a record's rows of `recordOps` refer, unless there are more than are derived. */
async function opsOf(
  parts: DeriveParts,
  key: RecordKey,
): Promise<{ found: FoundOp[]; astray: string[] } | 'too-long'> {
  const found: FoundOp[] = [];
  const astray: string[] = [];
  for await (const at of rowsOf(parts, key)) {
    if (found.length >= parts.opsOfRecord) return 'too-long';
    if (at.found === undefined) astray.push(at.row);
    else found.push(at.found);
  }
  return { found, astray };
}

/** The rows one by one, each with the op that it leads to: none for one that leads astray. */
async function* rowsOf(
  { db, store }: Pick<DeriveParts, 'db' | 'store'>,
  key: RecordKey,
): AsyncGenerator<{ readonly row: string; readonly found: FoundOp | undefined }> {
  const start = fullKey('recordOps', `${key}\0`);
  let read: { readonly at: string; readonly ops: readonly PlacedOp[] } | undefined;
  for await (const [row, value] of db.level.iterator(range('recordOps', `${key}\0`))) {
    const ref = row.slice(start.length);
    const [no, seq, index] = [ref.slice(0, 8), ref.slice(8, 16), ref.slice(16)].map((hex) =>
      Number.parseInt(hex, 16),
    ) as [number, number, number];
    const at = ref.slice(0, 16);
    if (read?.at !== at) {
      const entry = store.feedNumbered(no) === undefined ? undefined : await store.entry(no, seq);
      read = { at, ops: entry === undefined ? [] : placedOps(entry) };
    }
    const placed = read.ops.find((each) => each.index === index);
    const what = placed && readOp(placed);
    const leads = placed !== undefined && what !== undefined && !('problem' in what) && what.key === key;
    yield { row, found: leads ? { placed, no, row, number: numberOf(row, value) } : undefined };
  }
}
