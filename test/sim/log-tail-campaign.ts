/**
 * Damages the log of a node's LevelDB, or puts an older copy of its folder back, starts the node again beside a peer that has
 * everything, and checks what it shows, what it tells, and that both end equal and without a fork. By itself:
 * `COUNT=1000 SEED=7 node test/sim/log-tail-campaign.ts`; the test runs the same with less.
 */
import { runCampaign } from '../support/campaign.ts';
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fsck } from '../../daemon/maintenance.ts';
import { loadSettings } from '../../daemon/settings.ts';
import type { Merger } from '../../protocols/open-dialog/merger.ts';
import { type Identity, identityFromSeed } from '../../protocols/wire/identity.ts';
import { recordKey } from '../../protocols/wire/ids.ts';
import { held, type LedgerNode, openLedgerNode, pull } from '../support/ledger-node.ts';
import { seededRandom } from '../support/random.ts';
import { tempDir } from '../support/temp-dir.ts';
import { systemEnv } from '../../daemon/system-env.ts';
import { threadedMerger } from '../support/merger.ts';

export interface LogTailOptions {
  readonly count: number;
  readonly seed: number;
  /** Writes of each node before the older copy is taken, and as many after it. */
  readonly writes?: number;
  readonly onDone?: () => void;
}

/** How often each kind of damage was done, and what came of it. */
export interface LogTailFigures {
  readonly damaged: Record<string, number>;
  /** Rounds in which entries were lost. */
  readonly lossy: number;
  readonly entriesLost: number;
  readonly entriesRefilled: number;
  /** Rounds whose database was rebuilt, by holes, or had a short tail. */
  readonly rebuilt: number;
  readonly tailsLost: number;
}

/** A node's folder at two moments, everything it ever showed, and its peer's folder, which has all of it. */
interface World {
  readonly a: Identity;
  readonly b: Identity;
  readonly older: string;
  readonly newer: string;
  readonly peer: string;
  /** Every view that each record of the node ever had. */
  readonly history: ReadonlyMap<string, ReadonlySet<string>>;
  readonly entries: number;
}

/** Throws when something is served wrong, lost without a word, not refilled, or forked. */
export async function logTailCampaign({
  count,
  seed,
  writes = 60,
  onDone = () => undefined,
}: LogTailOptions): Promise<LogTailFigures> {
  const random = seededRandom(seed);
  const dir = tempDir('log-tail');
  const merger = threadedMerger();
  const figures = { damaged: {}, lossy: 0, entriesLost: 0, entriesRefilled: 0, rebuilt: 0, tailsLost: 0 };
  try {
    const world = await makeWorld(dir.path, merger, writes);
    for (let round = 0; round < count; round++) {
      const work = join(dir.path, 'work');
      try {
        await oneRound(world, work, merger, random, figures);
      } catch (error) {
        throw new Error(`round ${round} failed; run it again with COUNT=${round + 1} SEED=${seed}`, {
          cause: error,
        });
      }
      rmSync(work, { recursive: true, force: true });
      onDone();
    }
    return figures;
  } finally {
    await merger.stop();
    dir.remove();
  }
}

async function makeWorld(root: string, merger: Merger, writes: number): Promise<World> {
  const [a, b] = [identityFromSeed(Buffer.alloc(32, 1)), identityFromSeed(Buffer.alloc(32, 2))];
  const [dirA, dirB] = [join(root, 'a'), join(root, 'b')];
  const history = new Map<string, Set<string>>();
  const authors = [a.peerId, b.peerId];
  const live = async (copyTo: string): Promise<number> => {
    const one = await openLedgerNode(dirA, a, merger);
    const other = await openLedgerNode(dirB, b, merger);
    for (let i = 0; i < writes; i++) {
      await writeSomething(one, i, copyTo);
      await writeSomething(other, i, copyTo);
      await pull(one, other, authors);
      await pull(other, one, authors);
      for (const [key, view] of await one.views())
        history.set(key, (history.get(key) ?? new Set<string>()).add(view));
    }
    await one.close();
    await other.close();
    cpSync(dirA, join(root, copyTo), { recursive: true });
    return held(one, authors);
  };
  await live('older');
  const entries = await live('newer');
  return { a, b, older: join(root, 'older'), newer: join(root, 'newer'), peer: dirB, history, entries };
}

/** Creates, edits, ends, and facts, one commit each. */
async function writeSomething(node: LedgerNode, i: number, tag: string): Promise<void> {
  const { catalogue } = node;
  const text = 'x'.repeat((i * 37) % 900);
  if (i % 4 === 1)
    await catalogue.putListing(`${tag}${i - 1}`, { type: 'offer', title: `edited ${i}`, description: text });
  else if (i % 4 === 2)
    await catalogue.addPrice({
      date: '2026-01-01',
      market: 'Nairobi',
      commodity: `Maize ${tag}${i}`,
      unit: 'KG',
      category: 'c',
      currency: 'KES',
      priceFlag: 'actual',
      priceType: 'Retail',
      price: i,
    });
  else if (i % 8 === 3) await catalogue.putListing(`${tag}end${i}`, { type: 'offer', title: 'soon gone' });
  else if (i % 8 === 7) await catalogue.remove(recordKey('listings', node.self, `${tag}end${i - 4}`));
  else await catalogue.putListing(`${tag}${i}`, { type: 'offer', title: `listing ${i}`, description: text });
}

async function oneRound(
  world: World,
  work: string,
  merger: Merger,
  random: () => number,
  figures: Mutable,
): Promise<void> {
  const [dirA, dirB] = [join(work, 'a'), join(work, 'b')];
  mkdirSync(work, { recursive: true });
  const kinds = Object.keys(DAMAGE);
  const kind = kinds[Math.floor(random() * kinds.length)] ?? 'truncated';
  cpSync(kind === 'older copy put back' ? world.older : world.newer, dirA, { recursive: true });
  cpSync(world.peer, dirB, { recursive: true });
  for (const file of logsOf(dirA))
    writeFileSync(file, DAMAGE[kind]?.(readFileSync(file), random) ?? Buffer.alloc(0));
  figures.damaged[kind] = (figures.damaged[kind] ?? 0) + 1;

  const authors = [world.a.peerId, world.b.peerId];
  const one = await openLedgerNode(dirA, world.a, merger);
  let other: LedgerNode | undefined;
  try {
    // Nothing is served wrong: what can be read was once so.
    for (const [key, view] of await one.views())
      if (world.history.get(key)?.has(view) !== true)
        throw new Error(`${kind}: ${key} shows what it never was: ${view}`);
    // What is gone is told.
    const lost = world.entries - held(one, authors);
    const { holes, tailLost, repaired } = one.db.findings;
    if (lost > 0 && kind !== 'older copy put back' && one.alarms().length === 0)
      throw new Error(`${kind}: ${lost} entries are gone and nothing was told`);
    if (repaired || holes > 0) figures.rebuilt++;
    if (tailLost > 0) figures.tailsLost++;
    if (lost > 0) figures.lossy++;
    figures.entriesLost += lost;
    // New writes before the peer is asked, sometimes: they stand in an epoch of their own.
    if (random() < 0.5) await writeSomething(one, 0, 'before-refill');
    other = await openLedgerNode(dirB, world.b, merger);
    const refilled = await pull(other, one, authors);
    if (refilled !== lost) throw new Error(`${kind}: ${lost} entries lost, ${refilled} refilled`);
    if (kind === 'older copy put back' && !one.alarms().includes('own-entries-returned'))
      throw new Error('own entries came back and nothing was told');
    figures.entriesRefilled += refilled;
    await writeSomething(one, 0, 'after-refill');
    await pull(one, other, authors);
    await expectEqual(one, other, authors, kind);
  } finally {
    await one.close();
    await other?.close();
  }
  for (const DATA_DIR of [dirA, dirB]) {
    const { problems } = await fsck(loadSettings({ DATA_DIR }), systemEnv, () => undefined);
    if (problems.length > 0) throw new Error(`${kind}: fsck finds ${JSON.stringify(problems)}`);
  }
}

async function expectEqual(
  one: LedgerNode,
  other: LedgerNode,
  authors: readonly Identity['peerId'][],
  kind: string,
): Promise<void> {
  for (const author of authors) {
    if (one.digestOf(author) !== other.digestOf(author))
      throw new Error(`${kind}: the digests of ${author} differ`);
    for (const node of [one, other])
      if (node.store.feeds(author, 'public').some((feed) => feed.fork !== undefined))
        throw new Error(`${kind}: a fork`);
  }
  const [mine, theirs] = [await one.views(), await other.views()];
  for (const [key, view] of theirs) if (mine.get(key) !== view) throw new Error(`${kind}: ${key} differs`);
  if (mine.size !== theirs.size) throw new Error(`${kind}: ${mine.size} records and ${theirs.size}`);
}

type Mutable = { -readonly [K in keyof LogTailFigures]: LogTailFigures[K] };
type Damage = (log: Buffer, random: () => number) => Buffer;

const at = (log: Buffer, random: () => number): number => Math.floor(random() * log.length);

/** What a broken disk, a power loss or an operator does to a log. */
const DAMAGE: Record<string, Damage> = {
  truncated: (log, random) => log.subarray(0, at(log, random)),
  'bits flipped': (log, random) => {
    for (let i = 1 + Math.floor(random() * 8); i > 0; i--) {
      const where = at(log, random);
      log[where] = (log[where] ?? 0) ^ (1 << Math.floor(random() * 8));
    }
    return log;
  },
  'block zeroed': (log, random) => {
    const size = [512, 4096, 32_768][Math.floor(random() * 3)] ?? 512;
    const start = Math.floor(at(log, random) / size) * size;
    return log.fill(0, start, Math.min(log.length, start + size));
  },
  'garbled in the middle': (log, random) => {
    const start = at(log, random);
    const end = Math.min(log.length, start + 1 + Math.floor(random() * 5000));
    for (let i = start; i < end; i++) log[i] = Math.floor(random() * 256);
    return log;
  },
  'tail garbled': (log, random) => {
    for (let i = Math.max(0, log.length - 1 - Math.floor(random() * 3000)); i < log.length; i++)
      log[i] = Math.floor(random() * 256);
    return log;
  },
  'garbage appended': (log, random) =>
    Buffer.concat([
      log,
      Buffer.from(Array.from({ length: 1 + Math.floor(random() * 2000) }, () => Math.floor(random() * 256))),
    ]),
  emptied: () => Buffer.alloc(0),
  'older copy put back': (log) => log,
};

function logsOf(dir: string): string[] {
  return readdirSync(join(dir, 'db'))
    .filter((name) => name.endsWith('.log'))
    .map((name) => join(dir, 'db', name));
}

if (import.meta.main) await runCampaign('log-tail', 1000, logTailCampaign);
