/**
 * Deletes, flips and makes stale rows of every derived table of a running node, and lets it scrub: all are found and mended while it
 * serves reads and takes writes, nothing else is called wrong, and afterwards every row is what a rebuild would make. By itself:
 * `COUNT=10000 SEED=7 node test/sim/scrub-campaign.ts`; the test runs the same with less.
 */
import { runCampaign } from '../support/campaign.ts';
import { checkDerived, type Problem } from '../../daemon/check-derived.ts';
import type { Wrong } from '../../daemon/scrub/check-rows.ts';
import { Scrub } from '../../daemon/scrub/scrub.ts';
import { draftFact, draftPrivate } from '../../protocols/ledger/drafts.ts';
import { encodeOp } from '../../protocols/feed/op.ts';
import { identityFromSeed } from '../../protocols/wire/identity.ts';
import { sha256Hex } from '../../protocols/wire/bytes.ts';
import type { RecordState } from '../../protocols/open-dialog/record.ts';
import { recordKey } from '../../protocols/wire/ids.ts';
import { DERIVED, type DerivedName } from '../../storage/derivation.ts';
import { Digests } from '../../storage/digests.ts';
import { type BatchOp, fullKey, numberKey, range } from '../../storage/keyspace.ts';
import { draftRecord, readRecordRow, recordRow } from '../../storage/stored-record.ts';
import { verifiedJson, jsonWithChecksum } from '../../storage/values.ts';
import { type LedgerNode, openLedgerNode } from '../support/ledger-node.ts';
import { seededRandom } from '../support/random.ts';
import { tempDir } from '../support/temp-dir.ts';
import { waitFor } from '../support/wait.ts';
import { threadedMerger } from '../support/merger.ts';
import { systemEnv } from '../../daemon/system-env.ts';

export interface ScrubCampaignFigures {
  planted: number;
  readonly kinds: Record<string, number>;
  passes: number;
  reads: number;
  writes: number;
  /** Of single reads, milliseconds: while it scrubbed, and before anything was planted. */
  p99Ms?: number;
  controlP99Ms?: number;
}

const RECORDS = 240;
const FAULTS_PER_PASS = 150;
/** How long the control lasts. */
const CONTROL_WRITES = 40;

/** Throws when a fault is not found or not mended, or something sound is called wrong. */
export async function scrubCampaign(options: {
  count: number;
  seed: number;
  onDone?: (faults: number) => void;
}): Promise<ScrubCampaignFigures> {
  const { count, seed, onDone = () => undefined } = options;
  const random = seededRandom(seed);
  const dir = tempDir('scrub');
  const merger = threadedMerger();
  const figures: ScrubCampaignFigures = { planted: 0, kinds: {}, passes: 0, reads: 0, writes: 0 };
  const node = await openLedgerNode(dir.path, identityFromSeed(Buffer.alloc(32, 1)), merger);
  const wrong: Wrong[] = [];
  const scrub = new Scrub({
    db: node.db,
    store: node.store,
    merges: merger,
    alone: (work) => node.ledger.alone(work),
    onRepaired: () => undefined,
    onWrong: (row) => wrong.push(row),
    log: () => undefined,
    env: systemEnv,
  });
  try {
    await fill(node);
    const views = await node.views();
    const enough = figures.writes + CONTROL_WRITES;
    const untilEnough = async (): Promise<void> => {
      await waitFor('writes of the control', () => figures.writes >= enough, 60_000);
    };
    const control = await serve(node, [...views.keys()], untilEnough, figures);
    await serve(node, [...views.keys()], () => clean(scrub, wrong), figures);
    let times: number[] = [];
    while (figures.planted < count) {
      const before = figures.planted;
      const planted = await plant(node, random, Math.min(FAULTS_PER_PASS, count - figures.planted), figures);
      wrong.length = 0;
      times = times.concat(
        await serve(node, [...views.keys()], async () => void (await scrub.run()), figures),
      );
      figures.passes++;
      await expectRepaired(node, views, planted, wrong);
      onDone(figures.planted - before);
      await clean(scrub, wrong);
    }
    return { ...figures, p99Ms: p99(times), controlP99Ms: p99(control) };
  } catch (error) {
    throw new Error(`after ${figures.planted} faults; run it again with COUNT=${count} SEED=${seed}`, {
      cause: error,
    });
  } finally {
    await scrub.stop();
    await node.close();
    await merger.stop();
    dir.remove();
  }
}

/** A pass over a sound database says nothing. */
async function clean(scrub: Scrub, wrong: Wrong[]): Promise<void> {
  wrong.length = 0;
  await scrub.run();
  if (wrong.length > 0) throw new Error(`sound rows are called wrong: ${JSON.stringify(wrong.slice(0, 5))}`);
}

/** Documents with edits and ends, facts, private records, ops that are rejected and ops that are pending. */
async function fill({ catalogue, ledger, self }: LedgerNode): Promise<void> {
  for (let i = 0; i < RECORDS; i++) {
    await catalogue.putListing(`l${i}`, {
      type: 'offer',
      title: `listing ${i}`,
      commodity: ['maize', 'beans', 'rice'][i % 3] ?? '',
      region: `region ${i % 7}`,
      geoLat_: `${(i % 90) - 45}.5`,
      geoLong_: `${(i % 170) - 85}.25`,
    });
    if (i % 3 === 0) await catalogue.putListing(`l${i}`, { type: 'offer', title: `edited ${i}` });
    if (i % 11 === 10) await catalogue.remove(recordKey('listings', self, `l${i}`));
    if (i % 4 === 0)
      await catalogue.addPrice({
        date: '2026-01-01',
        market: `market ${i % 5}`,
        commodity: `Maize ${i}`,
        unit: 'KG',
        category: 'c',
        currency: 'KES',
        priceFlag: 'actual',
        priceType: 'Retail',
        price: i + 1,
      });
    if (i % 12 === 0) await privateTalk(ledger, self, i);
    if (i % 10 === 0) await withoutEffect(ledger, i);
  }
}

/** An op that is rejected by itself, and one that is pending for a channel that never comes. */
async function withoutEffect(ledger: LedgerNode['ledger'], i: number): Promise<void> {
  const other = identityFromSeed(Buffer.alloc(32, 8)).peerId;
  const key = recordKey('listings', other, `foreign${i}`);
  const op = encodeOp({
    v: 1,
    c: 'listings',
    k: `${other}/foreign${i}`,
    t: 'tombstone',
    d: new Uint8Array(0),
  });
  await ledger.write({ keys: [], draft: () => [{ key, channel: 'public', ops: [op] }] });
  const channel = recordKey('conversations', other, sha256Hex(Buffer.from(`unknown ${i}`)));
  await ledger.write({
    keys: [],
    draft: (pen) => [
      draftFact(pen, 'messages', { from: 'a', type: 'text', content: `${i}`, sentAt: i + 1 }, channel),
    ],
  });
}

async function privateTalk(ledger: LedgerNode['ledger'], self: LedgerNode['self'], i: number): Promise<void> {
  const other = identityFromSeed(Buffer.alloc(32, 9)).peerId;
  const members = { writers: [self, other].toSorted(), participants: [self, other].toSorted() };
  const creation = draftPrivate({ author: self }, 'conversations', members, new Uint8Array(16).fill(i));
  await ledger.write({ keys: [creation.key], draft: () => [creation] });
  await ledger.write({
    keys: [],
    draft: (pen) => [
      draftFact(
        pen,
        'messages',
        { from: `a@${self}`, type: 'text', content: `hello ${i}`, sentAt: i + 1 },
        creation.key,
      ),
    ],
  });
}

/** Reads records one by one, and writes new ones, while the work goes on. Returns how long each read took. */
async function serve(
  node: LedgerNode,
  keys: readonly string[],
  work: () => Promise<void>,
  figures: ScrubCampaignFigures,
): Promise<number[]> {
  const done = new AbortController();
  const times: number[] = [];
  const reading = (async () => {
    for (let i = 0; !done.signal.aborted; i++) {
      const started = performance.now();
      // A row that is planted damaged throws here, as it does for whoever asks: it is never served wrong.
      await node.store.records([keys[(i * 31) % keys.length] as never]).catch(() => undefined);
      times.push(performance.now() - started);
      figures.reads++;
      if (i % 8 === 0) await new Promise((next) => setTimeout(next, 1));
    }
  })();
  const writing = (async () => {
    for (; !done.signal.aborted; figures.writes++) {
      await node.catalogue.putListing(`w${figures.writes}`, { type: 'offer', title: 'written meanwhile' });
      await new Promise((next) => setTimeout(next, 50));
    }
  })();
  try {
    await work();
  } finally {
    done.abort();
    await Promise.all([reading, writing]);
  }
  return times;
}

type Fault = (node: LedgerNode, key: string, value: Uint8Array, random: () => number) => BatchOp[];

const DELETED: Fault = (_, key) => [{ type: 'del', key }];
const FLIPPED: Fault = (_, key, value, random) => {
  const bytes = Uint8Array.from(value);
  const at = Math.floor(random() * bytes.length);
  bytes[at] = (bytes[at] ?? 0) ^ (1 << Math.floor(random() * 8));
  return [{ type: 'put', key, value: bytes }];
};
const EMPTY = new Uint8Array(0);
const elsewhere = (key: string, from: RegExp, to: string): BatchOp[] => [
  { type: 'put', key: key.replace(from, to), value: EMPTY },
];
/** A row of another time, or one that leads nowhere: its checksum holds. */
const STALE: Readonly<Record<DerivedName, Fault>> = {
  records: (_, key, value) => {
    const { state, change } = readRecordRow(key, value);
    const view = { ...state.view, title: 'as it once was' };
    const once: RecordState = { ...state, view, updated: [state.updated[0] - 5000, 0] };
    return [{ type: 'put', key, value: recordRow(key, draftRecord(once), change) }];
  },
  recordOps: (_, key) => elsewhere(key, /\0.{8}/, `\0${numberKey(77)}`),
  past: (_, key) => elsewhere(key, /[0-9a-f]{4}$/, 'zzzz'),
  verdicts: (_, key, value) => {
    const row = verifiedJson<{ verdict: object }>(key, value);
    return [
      {
        type: 'put',
        key,
        value: jsonWithChecksum(key, { ...row, verdict: { state: 'rejected', code: 'other' } }),
      },
    ];
  },
  awaiting: (_, key) => elsewhere(key, /[0-9a-f]{4}$/, 'zzzz'),
  digests: (node, key) => {
    const other = node.store.digests.begin();
    const ops: BatchOp[] = [];
    const [channel = '', owner = '', collection = ''] = key.slice(2).split('|');
    other.change(undefined, {
      key: recordKey(collection, owner as never, 'x'),
      channel,
      heads: ['0'.repeat(64)],
      exists: true,
    } as never);
    other.write(ops);
    return ops;
  },
  index: (_, key) => elsewhere(key, /\0[^\0]*\0(?=[^\0]*$)/, '\0planted\0'),
  changes: (_, key, value) => [
    { type: 'put', key: fullKey('changes', `0${key.slice(3)}`.replace(/^00/, '0a')), value },
  ],
};

/** Plants faults in rows of their own; the keys that are wrong now. */
async function plant(
  node: LedgerNode,
  random: () => number,
  count: number,
  figures: ScrubCampaignFigures,
): Promise<number> {
  const rows = new Map<DerivedName, [string, Uint8Array][]>();
  for (const name of DERIVED) {
    const all: [string, Uint8Array][] = [];
    for await (const [key, value] of node.db.level.iterator(range(name))) all.push([key, value]);
    rows.set(name, all);
  }
  const tables = DERIVED.filter((name) => (rows.get(name)?.length ?? 0) > 0);
  let planted = 0;
  for (let i = 0; i < count; i++) {
    const name = tables[i % tables.length];
    const list = name && rows.get(name);
    if (name === undefined || list === undefined || list.length === 0) continue;
    const [[key, value] = ['', EMPTY]] = list.splice(Math.floor(random() * list.length), 1);
    const kinds: [string, Fault][] = [
      ['deleted', DELETED],
      ['stale', STALE[name]],
      ...(value.length > 0 ? [['flipped', FLIPPED] satisfies [string, Fault]] : []),
    ];
    const [kind, fault] = kinds[Math.floor(random() * kinds.length)] ?? ['deleted', DELETED];
    await node.db.level.batch(fault(node, key, value, random));
    figures.kinds[`${name} ${kind}`] = (figures.kinds[`${name} ${kind}`] ?? 0) + 1;
    planted++;
  }
  figures.planted += planted;
  return planted;
}

async function expectRepaired(
  node: LedgerNode,
  views: ReadonlyMap<string, string>,
  planted: number,
  wrong: readonly Wrong[],
): Promise<void> {
  // One record's row may stand for several faults in it.
  if (wrong.length < planted / 4) throw new Error(`${wrong.length} found of ${planted}`);
  const problems: Problem[] = [];
  await checkDerived(node.db, problems, true);
  if (problems.length > 0) throw new Error(JSON.stringify(problems.slice(0, 5)));
  const counted = await Digests.ofRecords(node.db.level);
  if (counted.total() !== node.store.digests.total()) throw new Error('the digest that is shown is another');
  const shown = await node.views();
  for (const [key, view] of views)
    if (shown.get(key as never) !== view)
      throw new Error(`${key} shows ${shown.get(key as never) ?? 'nothing'}`);
}

function p99(times: number[]): number {
  return times.toSorted((a, b) => a - b)[Math.floor(times.length * 0.99)] ?? 0;
}

if (import.meta.main) await runCampaign('scrub', 10_000, scrubCampaign);
