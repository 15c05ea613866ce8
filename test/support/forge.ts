import { randomBytes } from 'node:crypto';
import {
  draftEdit,
  draftFact,
  draftPrivate,
  type Patch,
  type Writer,
} from '../../protocols/ledger/drafts.ts';
import { createLedger } from '../../protocols/ledger/ledger.ts';
import type { Alarm, Ledger } from '../../protocols/ledger/types.ts';
import type { Commit, LedgerStore } from '../../protocols/ledger/ports.ts';
import { createClock } from '../../protocols/feed/clock.ts';
import { bodyRoot, type Entry, signEntry } from '../../protocols/feed/entry.ts';
import type { Quota } from '../../protocols/feed/quota.ts';
import { ENTRY_ENVELOPE, type EpochTail } from '../../protocols/feed/header.ts';
import { startMergeWorker } from '../../daemon/merging/start-merge-worker.ts';
import { systemEnv } from '../../daemon/system-env.ts';
import type { StartMergeWorker } from '../../protocols/open-dialog/merge-thread.ts';
import { createMerger, type MergeAlarm, type MergeTimes } from '../../protocols/open-dialog/merger.ts';
import { ownerDigest, totalDigest } from '../../protocols/digest/state-digest.ts';
import type { RecordState } from '../../protocols/open-dialog/record.ts';
import { fromHex } from '../../protocols/wire/bytes.ts';
import { type Cbor, encodeCbor } from '../../protocols/wire/cbor.ts';
import { signEnvelope } from '../../protocols/wire/envelope.ts';
import { type Identity, identityFromSeed, type PeerId } from '../../protocols/wire/identity.ts';
import { type Channel, recordKey, type RecordKey } from '../../protocols/wire/ids.ts';
import { Database } from '../../storage/database.ts';
import { Store } from '../../storage/store.ts';
import { seededRandom } from './random.ts';

/** The network of everything forged here. */
export const NET = 'test';

/** Everything random that a forger needs, decided by a seed. */
export interface Random {
  /** A whole number from 0 up to but not including `below`. */
  int(below: number): number;
  bytes(length: number): Uint8Array;
  pick<T>(from: readonly T[]): T;
  hex(length: number): string;
}

export function randomFrom(seed: number): Random {
  const next = seededRandom(seed);
  const int = (below: number): number => Math.floor(next() * below);
  const bytes = (length: number): Uint8Array => Uint8Array.from({ length }, () => int(256));
  return {
    int,
    bytes,
    pick: (from) => {
      const one = from[int(from.length)];
      if (one === undefined) throw new Error('nothing to pick from');
      return one;
    },
    hex: (length) => Buffer.from(bytes(length)).toString('hex'),
  };
}

/** An identity that a seed decides. */
export function someIdentity(random: Random): Identity {
  return identityFromSeed(random.bytes(32));
}

/** What a forger may put into a header instead of what belongs there. */
export type Place = Partial<{
  net: string;
  channel: Channel;
  epoch: string;
  seq: number;
  prev: string | null;
  after: readonly EpochTail[];
  time: readonly [number, number];
}>;

/** A hand that signs whatever it is told: one feed of one identity, honest unless `place` says otherwise. */
export class Hand {
  readonly identity: Identity;
  epoch: string;
  readonly channel: Channel;
  seq = 0;
  hash = '';

  constructor(identity: Identity, epoch: string, channel: Channel = 'public') {
    this.identity = identity;
    this.epoch = epoch;
    this.channel = channel;
  }

  get pen(): Writer {
    return { author: this.identity.peerId, epoch: this.epoch };
  }

  /** Signs an entry at the next place, or elsewhere; the feed stays where it is. */
  sign(ops: readonly Uint8Array[], place: Place = {}): Entry {
    const seq = place.seq ?? this.seq + 1;
    return signEntry(
      this.identity,
      {
        net: NET,
        channel: this.channel,
        epoch: this.epoch,
        seq,
        prev: seq === 1 ? null : this.hash === '' ? '00'.repeat(32) : this.hash,
        after: [],
        time: [1_700_000_000_000 + seq, 0],
        ...place,
      },
      ops,
    );
  }

  /** Signs the next entry of the feed. */
  next(ops: readonly Uint8Array[]): Entry {
    const entry = this.sign(ops);
    this.seq = entry.header.seq;
    this.hash = entry.hash;
    return entry;
  }

  /** The next entry with any header map at all: `change` may replace, add or (with undefined) take fields away. */
  raw(ops: readonly Uint8Array[], change: Readonly<Record<string, Cbor | undefined>>): Uint8Array {
    const seq = this.seq + 1;
    const map: Record<string, Cbor> = {
      v: 1,
      net: NET,
      channel: this.channel,
      epoch: fromHex(this.epoch),
      seq,
      prev: seq === 1 ? null : fromHex(this.hash),
      after: [],
      time: [1_700_000_000_000 + seq, 0],
      n: ops.length,
      root: fromHex(bodyRoot(ops.map((op) => ({ op })))),
    };
    for (const [field, value] of Object.entries(change)) {
      if (value === undefined) delete map[field];
      else map[field] = value;
    }
    return this.payload(encodeCbor(map), ops);
  }

  /** An entry whose signed header payload is any bytes at all. */
  payload(payload: Uint8Array, ops: readonly Uint8Array[]): Uint8Array {
    return encodeCbor([signEnvelope(this.identity, ENTRY_ENVELOPE, payload), [...ops]]);
  }
}

/** The ops of an edit of one's own listing. */
export function listingOps(
  pen: Writer,
  id: string,
  known: RecordState | undefined,
  patch: Patch,
): Uint8Array[] {
  const key = recordKey('listings', pen.author, id);
  const full = known === undefined ? { type: 'offer', status: 'active', ...patch } : patch;
  return [...draftEdit(pen, key, 'public', known, full).ops];
}

/** The op of a price of one's own. */
export function priceOps(pen: Writer, market: string, price: number): Uint8Array[] {
  const fields = { date: '2026-01-01', market, commodity: 'Maize', unit: 'kg', currency: 'KES', price };
  return [...draftFact(pen, 'prices', { ...fields, priceType: 'Retail' }).ops];
}

/** A private record of these nodes, all of them writers: its key, which is its channel, and the op that creates it. */
export function privateRecord(
  pen: Writer,
  peers: readonly PeerId[],
  collection = 'conversations',
): { readonly key: RecordKey; readonly ops: Uint8Array[] } {
  const draft = draftPrivate(pen, collection, { writers: peers, participants: peers }, randomBytes(16));
  return { key: draft.key, ops: [...draft.ops] };
}

/** A ledger over a real LevelDB, with all that it says. */
export interface TestLedger {
  readonly ledger: Ledger;
  readonly store: Store;
  readonly identity: Identity;
  /** Standing by peer id; whoever is not in it is not registered. */
  readonly followStates: Map<string, 'followed' | 'suspended'>;
  /** Verdicts of the commits since the last look, emptied by it. */
  verdicts(): Commit['verdicts'][number][];
  readonly alarms: (Alarm | MergeAlarm)[];
  digest(): string;
  close(): Promise<void>;
}

/** However busy the machine is, what is received is merged when it is there. */
const UNHURRIED: MergeTimes = { waitMs: 60_000, quickMs: 60_000, patientMs: 60_000, pauseMs: 1_000 };

/** How merges are made: another worker, other times. */
type Merging = [start?: StartMergeWorker, times?: MergeTimes];

/** Opens one in a folder; `now` is its wall clock, `quota` what each author may take up. */
export async function openLedger(
  folder: string,
  identity: Identity,
  now: () => number = Date.now,
  {
    quota,
    merging = [],
    credible = () => true,
    monotonic = systemEnv.monotonic,
    cpu = systemEnv.cpu,
    wholeOps,
  }: {
    quota?: Quota | undefined;
    merging?: Merging;
    credible?: () => boolean;
    monotonic?: () => number;
    cpu?: () => number;
    wholeOps?: number;
  } = {},
): Promise<TestLedger> {
  const db = await Database.open(folder, systemEnv);
  const store = await Store.open(db);
  const alarms: (Alarm | MergeAlarm)[] = [];
  const standing = new Map<string, 'followed' | 'suspended'>();
  let seen: Commit['verdicts'][number][] = [];
  const [start = startMergeWorker, times = UNHURRIED] = merging;
  const merger = createMerger({ env: systemEnv, start, onAlarm: (alarm) => alarms.push(alarm), times });
  const listening: LedgerStore = {
    feeds: (author, channel) => store.feeds(author, channel),
    feed: (author, channel, epoch) => store.feed(author, channel, epoch),
    feedGroups: () => store.feedGroups(),
    nextFeedNo: () => store.nextFeedNo(),
    entry: (no, seq) => store.entry(no, seq),
    entriesFrom: (no, from, to) => store.entriesFrom(no, from, to),
    recordRefs: (key, turn) => store.recordRefs(key, turn),
    gap: (no) => store.gap(no),
    records: (keys, turn) => store.records(keys, turn),
    hasOps: (key, feed) => store.hasOps(key, feed),
    nextOpNo: () => store.nextOpNo(),
    opFeeds: (key) => store.opFeeds(key),
    opPlaces: (...what) => store.opPlaces(...what),
    opAt: (...what) => store.opAt(...what),
    past: (...what) => store.past(...what),
    covered: (...what) => store.covered(...what),
    keepPast: (...what) => store.keepPast(...what),
    listed: (refs) => store.listed(refs),
    awaiting: (...what) => store.awaiting(...what),
    proof: (no) => store.proof(no),
    usageOf: (author) => store.usageOf(author),
    floor: (key) => store.floor(key),
    coverOf: (key, feed) => store.coverOf(key, feed),
    floorsToCome: (owner) => store.floorsToCome(owner),
    comingFloors: () => store.comingFloors(),
    erasures: (feed, from, to) => store.erasures(feed, from, to),
    async handOver(commit, turn, since) {
      seen.push(...commit.verdicts);
      return store.handOver(commit, turn, since);
    },
    get failures() {
      return store.failures;
    },
  };
  const ledger = createLedger({
    identity,
    net: NET,
    store: listening,
    merges: merger,
    following: { followState: (author) => standing.get(author) ?? 'no' },
    ...(quota === undefined ? {} : { quota: () => quota }),
    ...(wholeOps === undefined ? {} : { wholeOps }),
    clock: createClock(now),
    env: { ...systemEnv, now, monotonic, cpu },
    credible,
    refusal: () => undefined,
    onCommit: () => undefined,
    onAlarm: (alarm) => alarms.push(alarm),
  });
  merger.onDue((key) => void ledger.mergeAgain(key));
  return {
    ledger,
    store,
    identity,
    followStates: standing,
    verdicts() {
      const all = seen;
      seen = [];
      return all;
    },
    alarms,
    digest: () =>
      totalDigest(
        new Map(
          [...store.digests.of('public')].map(([owner, collections]) => [owner, ownerDigest(collections)]),
        ),
      ),
    async close() {
      await ledger.stop();
      await merger.stop();
      await db.close();
    },
  };
}
