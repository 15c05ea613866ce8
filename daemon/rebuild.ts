import { AgrinetError, errorMessage } from '../protocols/errors.ts';
import { bodyMatches, type Entry } from '../protocols/feed/entry.ts';
import type { FeedState } from '../protocols/feed/feed.ts';
import { type ForkProof, openForkProof } from '../protocols/feed/fork.ts';
import type { Gap } from '../protocols/feed/gap.ts';
import { ENTRY_ENVELOPE } from '../protocols/feed/header.ts';
import { Effects } from '../protocols/ledger/effects.ts';
import { soleTurn, type Turn } from '../protocols/ledger/turn.ts';
import type { Merges } from '../protocols/open-dialog/merger.ts';
import { signatureHolds } from '../protocols/wire/envelope.ts';
import { readGaps } from '../storage/gap-table.ts';
import { newGeneration } from '../storage/change-order.ts';
import type { Database } from '../storage/database.ts';
import { COUNTED, DERIVED } from '../storage/derivation.ts';
import { readEntryRow } from '../storage/entry-row.ts';
import { REBUILDING } from '../storage/level.ts';
import { isCorruption } from '../storage/storage-error.ts';
import { type BatchOp, fullKey, innerKey, numberKey, range, type SublevelName } from '../storage/keyspace.ts';
import { rejoinRow } from '../storage/rejoin-row.ts';
import { usageRow } from '../storage/usage.ts';
import { COUNTED_KEY, countedRow } from '../storage/usage-count.ts';
import { Store } from '../storage/store.ts';
import { forgottenFeed, isOfGap, opsInEffect } from './gap-survey.ts';
import { checkDerived, KEPT, type Problem } from './check-derived.ts';
import { openJson, openValue, sealJson } from '../storage/values.ts';
import { forgetPasses } from './scrub/pass-note.ts';

/** What checking every feed found: how far each holds, and what does not. */
interface Survey {
  readonly feeds: FeedState[];
  /** Of the usable entries, by the number of their feed. */
  readonly bytes: Map<number, number>;
  /** Entries that were kept of forgotten feeds, beyond their heads. */
  readonly kept: { readonly no: number; readonly seq: number }[];
  readonly entries: number;
  /** Keys of entries that cannot be used: damaged, or behind something missing. */
  readonly unusable: string[];
  readonly problems: Problem[];
}

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
  const survey: Survey = { feeds: [], bytes: new Map(), kept: [], entries: 0, unusable: [], problems: [] };
  const forks = await forksOf(db, survey);
  const gaps = await readGaps(db.level, true);
  let feed: FeedState | undefined;
  let current = -1;
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
    if (feed === undefined) return;
    known.delete(feed.no);
    forks.delete(feed.no);
  };
  for await (const [key, value] of db.level.iterator({
    ...range('entries'),
    highWaterMarkBytes: 1024 * 1024,
  })) {
    const no = Number.parseInt(innerKey(key).slice(0, 8), 16);
    onEntry(++done);
    if (current !== no) {
      finish();
      current = no;
      feed = undefined;
      broken = false;
    }
    const gap = gaps.get(no);
    const seq = Number.parseInt(innerKey(key).slice(8), 16);
    if (gap !== undefined && (broken || seq > (known.get(no)?.seq ?? 0))) {
      surveyKept(survey, gap, seq, [key, value]);
      continue;
    }
    const entry = broken ? undefined : usable(key, value, survey.problems);
    const next = entry && follow(feed, no, entry, known.get(no), forks.get(no));
    if (next === undefined) {
      if (entry !== undefined)
        survey.problems.push({
          code: 'chain-broken',
          message: `feed ${no} breaks at entry ${entry.header.seq}`,
        });
      broken = true;
      survey.unusable.push(key);
    } else {
      feed = next;
      survey.bytes.set(no, (survey.bytes.get(no) ?? 0) + (entry?.bytes.length ?? 0));
    }
  }
  finish();
  for (const rest of known.values())
    if (rest.seq > 0)
      survey.problems.push({
        code: 'feed-missing',
        message: `feed ${rest.author} ${rest.epoch} lost all its ${rest.seq} entries`,
      });
  // Of these only the proof is held. It names its feed, whatever became of the feed's own row.
  for (const [no, { author, channel, epoch, seq, id }] of forks) {
    const day = known.get(no)?.day ?? 0;
    const fork = { seq, proof: id, below: '' };
    survey.feeds.push({ no, author, channel, epoch, seq: 0, hash: '', after: [], day, fork });
  }
  const told = new Set(survey.feeds.map(({ no }) => no));
  for (const [no, gap] of gaps) if (!told.has(no)) survey.feeds.push(forgottenFeed(gap, known.get(no)));
  return { ...survey, entries: done };
}

/** An entry of a forgotten feed, beyond its head: evidence, or what a forgetting that was cut off has not reached. */
function surveyKept(survey: Survey, gap: Gap, seq: number, [key, value]: [string, Uint8Array]): void {
  const entry = gap.kept.has(seq) ? usable(key, value, survey.problems) : undefined;
  if (entry === undefined || !isOfGap(gap, seq, entry)) {
    survey.unusable.push(key);
    return;
  }
  survey.kept.push({ no: gap.no, seq });
  survey.bytes.set(gap.no, (survey.bytes.get(gap.no) ?? 0) + entry.bytes.length);
}

function readable<T>(key: string, value: Uint8Array): T | undefined {
  try {
    return openJson<T>(key, value);
  } catch {
    return undefined; // derived from the entries anyway
  }
}

async function forksOf(db: Database, survey: Survey): Promise<Map<number, ForkProof>> {
  const forks = new Map<number, ForkProof>();
  for await (const [key, value] of db.level.iterator(range('forks'))) {
    try {
      forks.set(Number.parseInt(innerKey(key), 16), openForkProof(openValue(key, value)));
    } catch (error) {
      survey.problems.push({ code: codeOf(error), message: errorMessage(error) });
      survey.unusable.push(key);
    }
  }
  return forks;
}

const codeOf = (error: unknown): string => (error instanceof AgrinetError ? error.code : 'value-damaged');

function usable(key: string, value: Uint8Array, problems: Problem[]): Entry | undefined {
  try {
    const entry = readEntryRow(key, value);
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
  proof: ForkProof | undefined,
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
    const ofIt = proof?.author === author && proof.channel === header.channel && proof.epoch === header.epoch;
    if (!ofIt) return base;
    return { ...base, fork: { seq: proof.seq, proof: proof.id, below: proof.seq === 2 ? hash : '' } };
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

const OPS_PER_COMMIT = 2000;

/** Empties a sublevel. Over damaged keys LevelDB may stop before the end, and what then stayed would count as derived. */
async function clear(db: Database, name: SublevelName): Promise<void> {
  for (let rows = Infinity; ;) {
    await db.level.clear(range(name));
    let left = 0;
    for await (const key of db.level.keys(range(name))) left += key === '' ? 0 : 1;
    if (left === 0) return;
    if (left >= rows) throw beyondRepair(db, undefined);
    rows = left;
  }
}

/** Rows of `meta` that come by themselves at the next start. */
const MADE_ANEW: readonly string[] = [
  fullKey('meta', 'schema'),
  fullKey('meta', 'events reserved'),
  COUNTED_KEY,
];

/**
 * Takes damaged rows out of the tables that no feed can fill: whoever reads them passes over such a row or writes it anew, and left
 * there it would make every rebuild look as if it had failed.
 */
async function dropDamaged(db: Database, problems: Problem[]): Promise<void> {
  const damaged: BatchOp[] = [];
  for (const name of ['meta', ...KEPT] as const) {
    for await (const [key, value] of db.level.iterator(range(name))) {
      if (name === 'meta' && !MADE_ANEW.includes(key)) continue;
      try {
        openValue(key, value);
      } catch (error) {
        problems.push({ code: 'value-damaged', message: errorMessage(error) });
        damaged.push({ type: 'del', key });
      }
    }
  }
  if (damaged.length > 0) await db.batch(damaged, true);
}

function beyondRepair(db: Database, cause: unknown): AgrinetError {
  return new AgrinetError(
    'database-damaged',
    `${db.folder} is damaged beyond repair. Restore a backup; or move it and the file initialized away, start, register with the peers again, and they fill it in`,
    { cause },
  );
}

/** As `rebuildStore`; damage that LevelDB finds only while it reads is repaired first. */
export async function rebuildDamaged(
  db: Database,
  merges: Merges,
  onProgress: (done: number, total: number) => void,
): ReturnType<typeof rebuildStore> {
  try {
    return await rebuildAndCheck(db, merges, onProgress);
  } catch (error) {
    if (!isCorruption(error)) throw error;
    await db.repair();
  }
  try {
    return await rebuildAndCheck(db, merges, onProgress);
  } catch (error) {
    if (!isCorruption(error)) throw error;
    throw beyondRepair(db, error);
  }
}

/** Rows under damaged keys may outlive the clearing: what a rebuild leaves is checked like anything else, before it is served. */
async function rebuildAndCheck(...args: Parameters<typeof rebuildStore>): ReturnType<typeof rebuildStore> {
  const [db] = args;
  const rebuilt = await rebuildStore(...args);
  const wrong: Problem[] = [];
  await checkDerived(db, wrong, false);
  if (wrong.length > 0) {
    await db.batch([{ type: 'put', key: REBUILDING, value: sealJson(REBUILDING, true) }], true);
    throw beyondRepair(db, new AgrinetError('database-damaged', JSON.stringify(wrong.slice(0, 5))));
  }
  await forgetPasses(db);
  return rebuilt;
}

/**
 * Derives everything anew from the entries that hold. What does not hold is taken out and told, and comes back from peers. May be
 * cut off at any point and is then done again at the next start.
 */
export async function rebuildStore(
  db: Database,
  merges: Merges,
  onProgress: (done: number, total: number) => void,
): Promise<{ store: Store; entries: number; records: number; problems: Problem[] }> {
  await db.batch(
    [{ type: 'put', key: REBUILDING, value: sealJson(REBUILDING, true) }, newGeneration(db.env)],
    true,
  );
  const survey = await surveyFeeds(db, () => undefined);
  for (const name of [...DERIVED, ...COUNTED]) await clear(db, name);
  await dropDamaged(db, survey.problems);
  // The rows of all feeds change in one batch: cut off between, a fork's row would be gone and its number given to another feed.
  const feeds = new Set(survey.feeds.map((feed) => fullKey('feeds', numberKey(feed.no))));
  const heads: BatchOp[] = survey.unusable.map((key) => ({ type: 'del', key }));
  for await (const key of db.level.keys(range('feeds')))
    if (!feeds.has(key)) heads.push({ type: 'del', key });
  for (const feed of survey.feeds) {
    const key = fullKey('feeds', numberKey(feed.no));
    heads.push({ type: 'put', key, value: sealJson(key, feed) });
    heads.push(usageRow(feed.no, { bytes: survey.bytes.get(feed.no) ?? 0, pending: 0, pendingBytes: 0 }));
  }
  // With what is taken out goes that it was: cut off behind this, the next rebuild finds nothing wrong any more.
  if (survey.problems.length > 0)
    heads.push(rejoinRow({ cause: 'repaired', since: db.env.now(), answered: [] }));
  heads.push(countedRow());
  await db.batch(heads, true);
  const store = await Store.open(db);
  const total = survey.entries - survey.unusable.length;
  let done = 0;
  let records = 0;
  const turn = soleTurn(db.env);
  let effects = newEffects(store, merges, turn);
  let ops = 0;
  const flush = async (): Promise<void> => {
    await effects.settle();
    const { erasing } = effects;
    const changes = effects.changes();
    records += changes.filter((c) => c.before === undefined).length;
    const batch = {
      entries: erasing.rewritten(),
      feeds: [],
      records: changes,
      verdicts: await effects.verdicts(),
      lacking: effects.lacking,
      proofs: [],
      erasures: erasing.erasures,
      erased: erasing.erased,
      sync: false,
    };
    await store.commit(batch, turn);
    effects = newEffects(store, merges, turn);
    ops = 0;
  };
  for (const feed of survey.feeds) {
    const last = feed.fork === undefined ? feed.seq : Math.min(feed.seq, feed.fork.seq - 1);
    for await (const entry of store.wholeEntries(feed.no, 1, last)) {
      await effects.takeEntry(entry);
      ops += entry.header.n;
      onProgress(++done, total);
      if (ops >= OPS_PER_COMMIT) await flush();
    }
  }
  for (const { no, seq } of survey.kept) {
    const [feed, entry] = [store.feedNumbered(no), await store.entry(no, seq)];
    if (feed === undefined || entry === undefined) continue;
    const wanted = new Set(opsInEffect(feed, store.gap(no), entry).map(({ index }) => index));
    await effects.takeEntry(entry, (index) => wanted.has(index));
    ops += wanted.size;
    onProgress(++done, total);
    if (ops >= OPS_PER_COMMIT) await flush();
  }
  await flush();
  await db.rebuilt();
  return { store, entries: done, records, problems: survey.problems };
}

function newEffects(store: Store, merges: Merges, turn: Turn): Effects {
  return new Effects(
    store,
    merges,
    (ref) => ref.seq < (store.feed(ref.author, ref.channel, ref.epoch)?.fork?.seq ?? Infinity),
    turn,
  );
}
