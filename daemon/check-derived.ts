import { errorMessage } from '../protocols/errors.ts';
import { decodeEntry } from '../protocols/feed/entry.ts';
import { isProven } from '../protocols/feed/erasure.ts';
import { erasuresAt } from '../protocols/ledger/erasing.ts';
import { soleTurn } from '../protocols/ledger/turn.ts';
import { readOp } from '../protocols/open-dialog/read-op.ts';
import { type AttachmentFault, attachmentFaults } from '../storage/attachment-check.ts';
import type { Database } from '../storage/database.ts';
import { Digests } from '../storage/digests.ts';
import { indexKeys } from '../storage/indexes.ts';
import { fullKey, KEYSPACE, range, type SublevelName } from '../storage/keyspace.ts';
import { readManifest } from '../storage/search/manifest.ts';
import { segmentProblem } from '../storage/search/segment-check.ts';
import { recordOpKey } from '../storage/op-keys.ts';
import { LAST_SEQ, opsInEffect } from './gap-survey.ts';
import { Store } from '../storage/store.ts';
import { readRecordRow } from '../storage/stored-record.ts';
import { isCounted } from '../storage/usage-count.ts';
import { verifyChecksum } from '../storage/values.ts';

/** Faults in stored entries or derived data. */
export interface Problem {
  readonly code: string;
  readonly message: string;
}

/**
 * Checks everything derived against the entries and itself; `all`: also what is stored outside the feeds. Reads only; LevelDB's own
 * errors are thrown.
 */
export async function checkDerived(db: Database, problems: Problem[], all: boolean): Promise<void> {
  const before = problems.length;
  await checkValues(db, problems, all ? [...OF_FEEDS, ...BESIDE] : OF_FEEDS);
  if (all) await checkAttachments(db, problems);
  // The rest reads what this has just found wanting.
  if (problems.length > before) return;
  await checkDigests(db, problems);
  await checkIndexes(db, problems);
  await checkSearch(db, problems);
  await checkOps(db, problems, all);
}

/** Tables outside the feeds: no feed contains their rows, so a rebuild leaves them as they are except for unreadable ones. */
export const KEPT: readonly SublevelName[] = [
  'registry',
  'httpNodes',
  'sources',
  'legacy',
  'apiKeys',
  'sessions',
  'jobs',
  'users',
  'notifications',
  'pendingNotices',
  'sentNotices',
  'sms',
  'wants',
  'events',
  'privateEvents',
  'idempotency',
  'addresses',
  'outbox',
  'erasures',
  'checkpoints',
  'floors',
  'forgotten',
  'attachments',
];
/** Values with a checksum that a rebuild restores. Entries are checked with their feeds. */
const OF_FEEDS: readonly SublevelName[] = [
  'feeds',
  'records',
  'verdicts',
  'digests',
  'forks',
  'usage',
  'past',
];
/** The others; nonces and indexes have no checksum. Damaged lines of the audit log are kept, to show that it is not complete. */
const BESIDE: readonly SublevelName[] = ['meta', 'audit', ...KEPT];

async function checkValues(
  db: Database,
  problems: Problem[],
  checked: readonly SublevelName[],
): Promise<void> {
  // Every table is read to its end: LevelDB notices some damage only then.
  const names = Object.keys(KEYSPACE) as SublevelName[];
  for (const name of names.filter((each) => !checked.includes(each)))
    for await (const key of db.level.keys(range(name))) if (key === '') break;
  for (const name of checked) {
    for await (const [key, value] of db.level.iterator(range(name))) {
      try {
        verifyChecksum(key, value);
      } catch (error) {
        problems.push({ code: 'value-damaged', message: errorMessage(error) });
      }
    }
  }
}

const FAULTS: Readonly<Record<AttachmentFault, string>> = {
  damaged: 'is not what its hash says',
  missing: 'is held, and its bytes are not there',
  surplus: 'is there, and nothing says why it is held',
};

/** Bytes that are not those of their hash, under a checksum that holds; rows without the other one that belongs to them. */
async function checkAttachments(db: Database, problems: Problem[]): Promise<void> {
  for await (const { sha256, kind } of attachmentFaults(db))
    problems.push({
      code: `attachment-${kind}`,
      message: `the attachment ${sha256} ${FAULTS[kind]}; run: agrinet scrub`,
    });
}

/** The kept digests against ones computed from the records. */
async function checkDigests(db: Database, problems: Problem[]): Promise<void> {
  const kept = new Digests();
  const channels = new Set<string>(['public']);
  (await kept.read(db))();
  for await (const [key, value] of db.level.iterator(range('records')))
    channels.add(readRecordRow(key, value).state.channel);
  const fresh = await Digests.ofRecords(db.level);
  for (const channel of channels) {
    const [a, b] = [kept.of(channel), fresh.of(channel)].map((owners) =>
      JSON.stringify([...owners].map(([o, g]) => [o, [...g].sort()]).sort()),
    );
    if (a !== b)
      problems.push({
        code: 'digest-wrong',
        message: `the digests of ${channel} do not match the records; run: agrinet rebuild`,
      });
  }
}

/** Each index row has its record and the other way round. */
async function checkIndexes(db: Database, problems: Problem[]): Promise<void> {
  let expected = 0;
  let missing = 0;
  for await (const [key, value] of db.level.iterator(range('records'))) {
    const keys = indexKeys(readRecordRow(key, value).state).map((index) => fullKey('index', index));
    expected += keys.length;
    for (const row of await db.level.getMany(keys)) if (row === undefined) missing++;
  }
  let rows = 0;
  for await (const key of db.level.keys(range('index'))) rows += key === '' ? 0 : 1;
  if (missing > 0 || rows !== expected)
    problems.push({
      code: 'index-wrong',
      message: `the indexes have ${rows} rows of ${expected}, ${missing} are missing; run: agrinet rebuild`,
    });
}

/** The words that listings are found by, as far as they are written: what a start adds later is not included. */
async function checkSearch(db: Database, problems: Problem[]): Promise<void> {
  for (const head of (await readManifest(db))?.segments ?? []) {
    const problem = await segmentProblem(db, head);
    if (problem === undefined) continue;
    const message = `the search index of changes ${head.from + 1} to ${head.to} ${problem === 'damaged' ? 'cannot be read' : 'does not match the records'}; run: agrinet scrub`;
    problems.push({ code: 'search-wrong', message });
  }
}

/** Each op of an entry is found from its record; for one that is erased its author's word is held. */
async function checkOps(db: Database, problems: Problem[], all: boolean): Promise<void> {
  const store = await Store.open(db);
  const turn = soleTurn(db.env);
  let missing = 0;
  let unproven = 0;
  let miscounted = 0;
  for (const feed of store.feedGroups().flatMap((group) => group.feeds)) {
    const last = feed.fork === undefined ? feed.seq : Math.min(feed.seq, feed.fork.seq - 1);
    const gap = store.gap(feed.no);
    let [held, seq] = [0, 0];
    for await (const bytes of store.entriesFrom(feed.no, 1, gap === undefined ? feed.seq : LAST_SEQ)) {
      held += bytes.length;
      if (++seq > last && gap === undefined) continue;
      const entry = decodeEntry(bytes);
      if (all && entry.body.some((item) => 'erased' in item))
        if (!isProven(entry, await erasuresAt(store, { ...feed, seq: entry.header.seq }, turn))) unproven++;
      const keys = opsInEffect(feed, gap, entry).flatMap((placed) => {
        const read = readOp(placed);
        return 'problem' in read ? [] : [recordOpKey(read.key, feed.no, placed)];
      });
      for (const row of await db.level.getMany(keys)) if (row === undefined) missing++;
    }
    if (store.usage.ofFeed(feed.no).bytes !== held) miscounted++;
  }
  // One made before there were counters counts at its next start.
  if (miscounted > 0 && (await isCounted(db)))
    problems.push({
      code: 'usage-wrong',
      message: `what ${miscounted} feeds take up is counted wrong; run: agrinet rebuild`,
    });
  if (unproven > 0)
    problems.push({
      code: 'erasure-unproven',
      message: `${unproven} entries lack ops without their author's word, and no new node will take them; run: agrinet rebuild`,
    });
  if (missing > 0)
    problems.push({
      code: 'ops-missing',
      message: `${missing} ops are not found from their records; run: agrinet rebuild`,
    });
}
