/**
 * Kills a node (kill -9, a process of its own, real LevelDB) at every step of bringing a database of each older layout forward, and of the
 * rebuild that some of them need. The next start goes on where that ended, and ends with the rows and the digest of one that nobody killed.
 * By itself: `COUNT=200 SEED=1 npm run campaign:migrations`; the test runs a share of it.
 */
import { fork } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { systemEnv } from '../../daemon/system-env.ts';
import { identityFromSeed } from '../../protocols/wire/identity.ts';
import { decodeEntryRow } from '../../storage/entry-row.ts';
import { KEYSPACE, range, type SublevelName } from '../../storage/keyspace.ts';
import type { Level } from '../../storage/level.ts';
import { LAYOUT } from '../../storage/migrations.ts';
import { openLevel } from '../../storage/open-level.ts';
import { numberIn } from '../../storage/past-rows.ts';
import { type Campaign, runCampaign } from '../support/campaign.ts';
import { openLedgerNode } from '../support/ledger-node.ts';
import { threadedMerger } from '../support/merger.ts';
import type { MigratingMessage } from '../support/migrating-node.ts';
import { toOlderLayout } from '../support/older-layouts.ts';
import { seededRandom } from '../support/random.ts';
import { tempDir } from '../support/temp-dir.ts';

const CHILD = join(import.meta.dirname, '..', 'support', 'migrating-node.ts');
/** With their texts enough for two whole pieces of each table, and a rest. */
const LISTINGS = 2600;
const TEXT_LENGTH = 7000;
/** Beyond it a start hangs. */
const START_MS = 120_000;

type Moment = 'before' | 'during';
interface Kill {
  readonly layout: number;
  readonly step: number;
  readonly moment: Moment;
}
/** What a process told before it ended. */
interface Told {
  readonly progress: readonly Extract<MigratingMessage, { kind: 'progress' }>[];
  readonly ready: Extract<MigratingMessage, { kind: 'ready' }> | undefined;
}
/** A database of an older layout, and what becomes of it when nobody kills. */
interface Older {
  readonly layout: number;
  readonly folder: string;
  readonly told: Told;
  readonly rows: Rows;
}
/** A checksum of the rows of each sublevel that no process has of its own. */
type Rows = Readonly<Record<string, string>>;

/** Every layout that can be brought forward. */
const OLDER = Array.from({ length: LAYOUT - 1 }, (_, i) => i + 1);

/** Throws at the first start that does not go on, or ends otherwise. */
export async function migrationKills(
  { count, seed, onDone }: Campaign,
  layouts: readonly number[] = OLDER,
): Promise<{ readonly kills: number; readonly moments: number }> {
  const dir = tempDir('migrations');
  try {
    const digest = await fill(join(dir.path, 'newest'), seed);
    const olders: Older[] = [];
    for (const layout of layouts) olders.push(await older(dir.path, layout, digest));
    const kills = shuffled(olders.flatMap(killsOf), seededRandom(seed));
    for (const kill of kills.slice(0, count)) {
      const from = olders.find(({ layout }) => layout === kill.layout);
      if (from !== undefined) await oneKill(dir.path, from, kill);
      onDone();
    }
    return { kills: Math.min(count, kills.length), moments: kills.length };
  } finally {
    dir.remove();
  }
}

/** Writes a database as it is now; returns the digest. */
async function fill(folder: string, seed: number): Promise<string> {
  const random = seededRandom(seed);
  const merger = threadedMerger();
  const identity = identityFromSeed(Buffer.alloc(32, 1));
  const node = await openLedgerNode(folder, identity, merger);
  const letters = (): string => random().toString(36).slice(2);
  for (let i = 0; i < LISTINGS; i += 100)
    await Promise.all(
      Array.from({ length: 100 }, (_, n) =>
        node.catalogue.putListing(`l${(i + n) % (LISTINGS - 200)}`, {
          type: 'offer',
          title: `listing ${i + n}`,
          quantity: i + n,
          coordinates: `geoLat_${(random() * 8 - 4).toFixed(5)},geoLong_${(34 + random() * 6).toFixed(5)}`,
          description: Array.from({ length: TEXT_LENGTH / 10 }, letters)
            .join('')
            .slice(0, TEXT_LENGTH),
        }),
      ),
    );
  const digest = node.digestOf(identity.peerId);
  await node.close();
  await merger.stop();
  return digest;
}

async function older(dir: string, layout: number, digest: string): Promise<Older> {
  const folder = join(dir, `layout-${layout}`);
  cpSync(join(dir, 'newest'), folder, { recursive: true });
  await inLevel(folder, (level) => toOlderLayout(level, layout));
  const work = join(dir, 'whole');
  cpSync(folder, work, { recursive: true });
  const told = await start(work, 0, 'before');
  if (told.ready?.digest !== digest) throw new Error(`layout ${layout} ends with another digest`);
  const rows = await rowsOf(work, layout);
  rmSync(work, { recursive: true });
  return { layout, folder, told, rows };
}

/** Every step of a whole migration, each before it is written and while it is. */
function killsOf({ layout, told }: Older): Kill[] {
  return Array.from({ length: told.ready?.steps ?? 0 }, (_, i) =>
    (['before', 'during'] as const).map((moment) => ({ layout, step: i + 1, moment })),
  ).flat();
}

async function oneKill(dir: string, { layout, folder, told: whole, rows }: Older, kill: Kill): Promise<void> {
  const { step, moment } = kill;
  const work = join(dir, 'killed');
  const wrong = (what: string): Error =>
    new Error(`layout ${layout}, killed ${moment} step ${step}: ${what}`);
  cpSync(folder, work, { recursive: true });
  try {
    const killed = await start(work, step, moment);
    if (killed.ready !== undefined) throw wrong('it was not killed');
    const { progress, ready } = await start(work, 0, moment);
    if (ready === undefined) throw wrong('the next start does not get ready');
    if (ready.alarms.length > 0) throw wrong(`alarms ${ready.alarms.join()}`);
    if (ready.digest !== whole.ready?.digest) throw wrong('another digest');
    // What was under way goes on, or was done: no migration before it begins again, and none is left out.
    const cut = whole.progress.findLast(({ rows: done, steps }) => done === 0 && steps < step)?.layout ?? 0;
    const begun = progress[0]?.layout ?? LAYOUT + 1;
    if (begun < cut || begun > cut + 1) throw wrong(`layout ${cut} was under way, ${begun} comes next`);
    const stepsOf = ({ progress: all }: Told): number => all.at(-1)?.steps ?? 0;
    if (step <= stepsOf(whole) && stepsOf({ progress, ready }) > stepsOf(whole) - step + 2)
      throw wrong(`${stepsOf({ progress, ready })} steps more, of ${stepsOf(whole)}`);
    const ended = await rowsOf(work, layout);
    const other = Object.keys(rows).filter((name) => ended[name] !== rows[name]);
    if (!isDeepStrictEqual(ended, rows)) throw wrong(`other rows: ${other.join()}`);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** Starts a node that is killed at a step, or ends by itself once it is ready; resolves when it has ended. */
async function start(folder: string, step: number, moment: Moment): Promise<Told> {
  const child = fork(CHILD, [folder, String(step), moment], { silent: true });
  const messages: MigratingMessage[] = [];
  let output = '';
  child.stderr?.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.on('message', (message: MigratingMessage) => messages.push(message));
  const hangs = setTimeout(() => child.kill('SIGTERM'), START_MS);
  await once(child, 'exit');
  clearTimeout(hangs);
  const asAsked = child.exitCode === 0 || (step > 0 && child.signalCode === 'SIGKILL');
  if (!asAsked) throw new Error(`it ended by ${child.signalCode ?? child.exitCode}: ${output.slice(-3000)}`);
  return {
    progress: messages.filter((message) => message.kind === 'progress'),
    ready: messages.find((message) => message.kind === 'ready'),
  };
}

/**
 * Numbers of commits and what is drawn by chance differ from run to run, and what layout 1 says of arrivals is the time of the migration.
 * Numbers of changes that were drawn before a kill are never given again: of those of a record, their order counts.
 */
const OWN: readonly SublevelName[] = ['meta', 'journal'];

async function rowsOf(folder: string, layout: number): Promise<Rows> {
  const rows: Record<string, string> = {};
  await inLevel(folder, async (level) => {
    for (const name of Object.keys(KEYSPACE) as SublevelName[]) {
      if (OWN.includes(name)) continue;
      const sum = createHash('sha256');
      if (name === 'recordOps') {
        rows[name] = sum.update(JSON.stringify(await opOrder(level))).digest('hex');
        continue;
      }
      for await (const [key, value] of level.iterator(range(name)))
        sum.update(key).update(name === 'entries' && layout === 1 ? decodeEntryRow(key, value).bytes : value);
      rows[name] = sum.digest('hex');
    }
  });
  return rows;
}

/** The keys that lead from records to their ops, and where each one's number stands among all of them. */
async function opOrder(level: Level): Promise<[key: string, place: number][]> {
  const numbers = new Map<string, number>();
  for await (const [key, value] of level.iterator(range('recordOps')))
    numbers.set(key, numberIn(key, value) ?? 0);
  const order = [...new Set(numbers.values())].toSorted((a, b) => a - b);
  const places = new Map(order.map((no, place) => [no, place]));
  return [...numbers].map(([key, no]) => [key, places.get(no) ?? 0]);
}

async function inLevel(folder: string, work: (level: Level) => Promise<void>): Promise<void> {
  const { level } = await openLevel(join(folder, 'db'), {
    createIfMissing: false,
    mayRepair: false,
    now: systemEnv.now,
  });
  await work(level);
  await level.close();
}

function shuffled<T>(values: readonly T[], random: () => number): T[] {
  return values
    .map((value) => ({ value, at: random() }))
    .toSorted((a, b) => a.at - b.at)
    .map(({ value }) => value);
}

if (import.meta.main) await runCampaign('migrations', 200, (campaign) => migrationKills(campaign));
