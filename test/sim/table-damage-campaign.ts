/**
 * Flips bits in the tables of a node's LevelDB, where no log protects what is old. Then nothing is served wrong: what cannot be
 * trusted is an error; fsck names it; a rebuild takes it away and the peer fills it in. By itself:
 * `COUNT=300 SEED=7 node test/sim/table-damage-campaign.ts`; the test runs the same with less.
 */
import { runCampaign } from '../support/campaign.ts';
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fsck, rebuild } from '../../daemon/maintenance.ts';
import { loadSettings } from '../../daemon/settings.ts';
import { errorCode } from '../../protocols/errors.ts';
import type { Merger } from '../../protocols/open-dialog/merger.ts';
import { type Identity, identityFromSeed } from '../../protocols/wire/identity.ts';
import type { RecordKey } from '../../protocols/wire/ids.ts';
import { systemEnv } from '../../daemon/system-env.ts';
import { isCorruption } from '../../storage/storage-error.ts';
import { held, type LedgerNode, openLedgerNode, pull, viewText } from '../support/ledger-node.ts';
import { seededRandom } from '../support/random.ts';
import { tempDir } from '../support/temp-dir.ts';
import { threadedMerger } from '../support/merger.ts';

export interface TableDamageFigures {
  rounds: number;
  /** Rounds in which fsck found something. */
  found: number;
  /** Rounds in which the node did not start by itself. */
  notStarted: number;
  /** Rounds that had to begin with an empty database. */
  beyondRepair: number;
  entriesRefilled: number;
}

const RECORDS = 300;

/** Throws when something is served wrong, or is not whole again after rebuild and peer. */
export async function tableDamageCampaign(options: {
  count: number;
  seed: number;
  onDone?: () => void;
}): Promise<TableDamageFigures> {
  const { count, seed, onDone = () => undefined } = options;
  const random = seededRandom(seed);
  const dir = tempDir('tables');
  const merger = threadedMerger();
  const a = identityFromSeed(Buffer.alloc(32, 1));
  const b = identityFromSeed(Buffer.alloc(32, 2));
  const [dirA, dirB, work] = [join(dir.path, 'a'), join(dir.path, 'b'), join(dir.path, 'work')];
  const figures: TableDamageFigures = {
    rounds: 0,
    found: 0,
    notStarted: 0,
    beyondRepair: 0,
    entriesRefilled: 0,
  };
  try {
    const truth = await makeTables(dirA, dirB, a, b, merger);
    for (; figures.rounds < count; figures.rounds++) {
      cpSync(dirA, work, { recursive: true });
      try {
        await oneRound(work, dirB, a, b, merger, truth, random, figures);
      } catch (error) {
        throw new Error(
          `round ${figures.rounds} failed; run it again with COUNT=${figures.rounds + 1} SEED=${seed}`,
          { cause: error },
        );
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

async function makeTables(
  dirA: string,
  dirB: string,
  a: Identity,
  b: Identity,
  merger: Merger,
): Promise<ReadonlyMap<RecordKey, string>> {
  const one = await openLedgerNode(dirA, a, merger);
  const other = await openLedgerNode(dirB, b, merger);
  for (let i = 0; i < RECORDS; i += 10) {
    await Promise.all(
      Array.from({ length: 10 }, (_, j) =>
        one.catalogue.putListing(`l${i + j}`, {
          type: 'offer',
          title: `listing ${i + j}`,
          description: 'd'.repeat(j * 20),
        }),
      ),
    );
    await one.catalogue.putListing(`l${i}`, { type: 'offer', title: `edited ${i}` });
  }
  await pull(one, other, [a.peerId]);
  const views = await one.views();
  await one.db.level.compactRange('\0', '\u{10ffff}');
  await one.close();
  await other.close();
  // The checksums of tables are noted at the start after the one that wrote them.
  await (await openLedgerNode(dirA, a, merger)).close();
  return views;
}

async function oneRound(
  work: string,
  dirB: string,
  a: Identity,
  b: Identity,
  merger: Merger,
  truth: ReadonlyMap<RecordKey, string>,
  random: () => number,
  figures: TableDamageFigures,
): Promise<void> {
  const tables = readdirSync(join(work, 'db')).filter((name) => name.endsWith('.ldb'));
  const table = join(work, 'db', tables[Math.floor(random() * tables.length)] ?? '');
  const bytes = readFileSync(table);
  const where = Math.floor(random() * bytes.length);
  bytes[where] = (bytes[where] ?? 0) ^ (1 << Math.floor(random() * 8));
  writeFileSync(table, bytes);

  const settings = loadSettings({ DATA_DIR: work });
  const problems = await fsck(settings, systemEnv, () => undefined).then(
    (result) => result.problems,
    (error: unknown) => [{ code: errorCode(error) ?? 'internal' }],
  );
  if (problems.length > 0) figures.found++;
  let node = await openLedgerNode(work, a, merger).catch((error: unknown) => {
    if (errorCode(error) !== 'database-damaged') throw error;
    figures.notStarted++;
    return undefined;
  });
  if (node !== undefined) {
    // Nothing is served wrong: what is read without an error is what was written, or nothing where fsck says why.
    for (const [key, view] of truth) {
      const shown = await shownBy(node, key);
      if (shown !== view && !(shown === undefined && problems.length > 0))
        throw new Error(`${key} shows ${shown ?? 'nothing'}; fsck: ${JSON.stringify(problems)}`);
    }
    await node.close();
  }
  try {
    if (problems.length > 0) await rebuild(settings, systemEnv, () => undefined);
  } catch (error) {
    if (errorCode(error) !== 'database-damaged') throw error;
    figures.beyondRepair++;
    rmSync(work, { recursive: true }); // as the message says: begin with an empty one
  }
  // Where fsck found nothing, starting is all there is to do.
  node = await openLedgerNode(work, a, merger);
  const other = await openLedgerNode(dirB, b, merger);
  try {
    figures.entriesRefilled += await pull(other, node, [a.peerId]);
    if (node.digestOf(a.peerId) !== other.digestOf(a.peerId))
      throw new Error(`bit ${where} of ${table}: digests differ; fsck: ${JSON.stringify(problems)}`);
    const views = await node.views();
    for (const [key, view] of truth)
      if (views.get(key) !== view) throw new Error(`${key} shows ${views.get(key) ?? 'nothing'}`);
    if (held(node, [a.peerId]) !== held(other, [a.peerId])) throw new Error('entries are missing');
  } finally {
    await node.close();
    await other.close();
  }
}

/** The view of a record, or undefined when it is gone or an error. */
async function shownBy(node: LedgerNode, key: RecordKey): Promise<string | undefined> {
  try {
    const [state] = await node.store.records([key]);
    return state && viewText(state);
  } catch (error) {
    if (errorCode(error) === 'value-damaged' || isCorruption(error)) return undefined;
    throw error;
  }
}

if (import.meta.main) await runCampaign('tables', 300, tableDamageCampaign);
