import { errorMessage } from '../protocols/errors.ts';
import { bodyMatches, decodeEntry, type Entry } from '../protocols/feed/entry.ts';
import type { FeedState } from '../protocols/feed/feed.ts';
import { openForkProof } from '../protocols/feed/fork.ts';
import { ENTRY_ENVELOPE } from '../protocols/feed/header.ts';
import { Effects } from '../protocols/ledger/effects.ts';
import type { Judge } from '../protocols/ledger/ports.ts';
import { signatureHolds } from '../protocols/wire/envelope.ts';
import type { Database } from '../storage/database.ts';
import { type BatchOp, fullKey, innerKey, numberKey, range } from '../storage/keyspace.ts';
import { Store } from '../storage/store.ts';
import { openJson, openValue, sealJson } from '../storage/values.ts';

/** What is wrong with the stored entries or derived data. */
export interface Problem {
  readonly code: string;
  readonly message: string;
}

/** What checking every feed found: how far each holds, and what does not. */
interface Survey {
  readonly feeds: FeedState[];
  readonly entries: number;
  /** Keys of entries that cannot be used: damaged, or behind something missing. */
  readonly unusable: string[];
  readonly problems: Problem[];
}

const REBUILDING = fullKey('meta', 'rebuilding');

/** True when a rebuild was cut off: what is derived is not whole. */
export async function wasRebuilding(db: Database): Promise<boolean> {
  return (await db.level.get(REBUILDING)) !== undefined;
}

/** Checks every entry: checksum, signature, chain, body. Reads only. */
export async function surveyFeeds(db: Database, onEntry: (done: number) => void): Promise<Survey> {
  const known = new Map<number, FeedState>();
  for await (const [key, value] of db.level.iterator(range('feeds'))) {
    const feed = readable<FeedState>(key, value);
    if (feed !== undefined) known.set(feed.no, feed);
  }
  const forks = await forksOf(db);
  const survey: Survey = { feeds: [], entries: 0, unusable: [], problems: [] };
  let feed: FeedState | undefined;
  let broken = false;
  let done = 0;
  const finish = (): void => {
    if (feed !== undefined && (feed.seq > 0 || feed.fork !== undefined)) survey.feeds.push(feed);
    const told = feed === undefined ? undefined : known.get(feed.no);
    if (feed !== undefined && told !== undefined && told.seq > feed.seq) {
      survey.problems.push({
        code: 'feed-short',
        message: `feed ${feed.author} ${feed.epoch} holds ${feed.seq} of ${told.seq} entries`,
      });
    }
    if (feed !== undefined) known.delete(feed.no);
  };
  for await (const [key, value] of db.level.iterator({
    ...range('entries'),
    highWaterMarkBytes: 1024 * 1024,
  })) {
    const no = Number.parseInt(innerKey(key).slice(0, 8), 16);
    onEntry(++done);
    if (feed?.no !== no) {
      finish();
      feed = undefined;
      broken = false;
    }
    const entry = broken ? undefined : usable(key, value, survey.problems);
    const next = entry === undefined ? undefined : follow(feed, no, entry, known.get(no), forks.get(no));
    if (next === undefined) {
      if (entry !== undefined)
        survey.problems.push({
          code: 'chain-broken',
          message: `feed ${no} breaks at entry ${entry.header.seq}`,
        });
      broken = true;
      survey.unusable.push(key);
    } else feed = next;
  }
  finish();
  for (const rest of known.values()) {
    if (rest.fork !== undefined) survey.feeds.push({ ...rest, seq: 0, hash: '', after: [] });
    else if (rest.seq > 0)
      survey.problems.push({
        code: 'feed-missing',
        message: `feed ${rest.author} ${rest.epoch} lost all its ${rest.seq} entries`,
      });
  }
  return { ...survey, entries: done };
}

function readable<T>(key: string, value: Uint8Array): T | undefined {
  try {
    return openJson<T>(key, value);
  } catch {
    return undefined; // derived from the entries anyway
  }
}

async function forksOf(db: Database): Promise<Map<number, { seq: number; proof: string }>> {
  const forks = new Map<number, { seq: number; proof: string }>();
  for await (const [key, value] of db.level.iterator(range('forks'))) {
    const proof = openForkProof(openValue(key, value));
    forks.set(Number.parseInt(innerKey(key), 16), { seq: proof.seq, proof: proof.id });
  }
  return forks;
}

function usable(key: string, value: Uint8Array, problems: Problem[]): Entry | undefined {
  try {
    const entry = decodeEntry(openValue(key, value));
    if (signatureHolds(ENTRY_ENVELOPE, entry.envelope) && bodyMatches(entry)) return entry;
    problems.push({
      code: 'entry-invalid',
      message: `${JSON.stringify(key)}: signature or body does not hold`,
    });
  } catch (error) {
    problems.push({ code: 'value-damaged', message: errorMessage(error) });
  }
  return undefined;
}

function follow(
  feed: FeedState | undefined,
  no: number,
  entry: Entry,
  known: FeedState | undefined,
  fork: { seq: number; proof: string } | undefined,
): FeedState | undefined {
  const { author, header, hash } = entry;
  if (feed === undefined) {
    if (header.seq !== 1) return undefined;
    const day = known?.day ?? Math.floor(header.time[0] / 86_400_000);
    const base = {
      no,
      author,
      channel: header.channel,
      epoch: header.epoch,
      seq: 1,
      hash,
      after: header.after,
      day,
    };
    return fork === undefined ? base : { ...base, fork: { ...fork, below: fork.seq === 2 ? hash : '' } };
  }
  if (
    header.seq !== feed.seq + 1 ||
    header.prev !== feed.hash ||
    author !== feed.author ||
    header.epoch !== feed.epoch
  )
    return undefined;
  const next = { ...feed, seq: header.seq, hash };
  return feed.fork?.seq === header.seq + 1 ? { ...next, fork: { ...feed.fork, below: hash } } : next;
}

const DERIVED = ['records', 'recordOps', 'verdicts', 'lacking', 'digests', 'index', 'changes'] as const;
const OPS_PER_COMMIT = 2000;

/**
 * Derives everything anew from the entries that hold. What does not hold is taken out and told, and comes back from peers. May be
 * cut off at any point and is then done again at the next start.
 */
export async function rebuildStore(
  db: Database,
  judge: Judge,
  onProgress: (done: number, total: number) => void,
): Promise<{ store: Store; entries: number; records: number; problems: Problem[] }> {
  await db.batch([{ type: 'put', key: REBUILDING, value: sealJson(REBUILDING, true) }], true);
  const survey = await surveyFeeds(db, () => undefined);
  for (const name of DERIVED) await db.level.clear(range(name));
  await db.level.clear(range('feeds'));
  const heads: BatchOp[] = survey.feeds.map((feed) => {
    const key = fullKey('feeds', numberKey(feed.no));
    return { type: 'put', key, value: sealJson(key, feed) };
  });
  await db.batch([...heads, ...survey.unusable.map((key): BatchOp => ({ type: 'del', key }))], true);
  const store = await Store.open(db);
  const total = survey.entries - survey.unusable.length;
  let done = 0;
  let records = 0;
  let effects = newEffects(store, judge);
  let ops = 0;
  const flush = async (): Promise<void> => {
    await effects.settle();
    const changes = effects.changes();
    records += changes.filter((c) => c.before === undefined).length;
    await store.commit({
      entries: [],
      feeds: [],
      records: changes,
      verdicts: effects.verdicts(),
      lacking: effects.lacking,
      proofs: [],
      sync: false,
    });
    effects = newEffects(store, judge);
    ops = 0;
  };
  for (const feed of survey.feeds) {
    const last = feed.fork === undefined ? feed.seq : Math.min(feed.seq, feed.fork.seq - 1);
    for await (const bytes of store.entriesFrom(feed.no, 1, last)) {
      const entry = decodeEntry(bytes);
      await effects.takeEntry(entry);
      ops += entry.header.n;
      onProgress(++done, total);
      if (ops >= OPS_PER_COMMIT) await flush();
    }
  }
  await flush();
  await db.batch([{ type: 'del', key: REBUILDING }], true);
  return { store, entries: done, records, problems: survey.problems };
}

function newEffects(store: Store, judge: Judge): Effects {
  return new Effects(
    store,
    judge,
    (ref) => ref.seq < (store.feed(ref.author, ref.channel, ref.epoch)?.fork?.seq ?? Infinity),
  );
}
