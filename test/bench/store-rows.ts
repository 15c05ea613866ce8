/**
 * What a record costs on the disk: `node store-rows.ts [--count n] [--data folder]`. Without a folder it writes listings and prices into
 * an empty node, 64 at a time, and has a second one take them in; with one it looks at the database of a stopped daemon and changes
 * nothing but what opening does.
 */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { threadedMerger } from '../support/merger.ts';
import { held, type LedgerNode, openLedgerNode, pull } from '../support/ledger-node.ts';
import { randomBytes } from 'node:crypto';
import { type Identity, identityFromSeed } from '../../protocols/wire/identity.ts';
import { Database } from '../../storage/database.ts';
import { systemEnv } from '../../daemon/system-env.ts';
import { KEYSPACE, sublevelOf } from '../../storage/keyspace.ts';
import { seededRandom } from '../support/random.ts';
import { listingRecords, pricesFile, withoutId } from './listings.ts';
import { bytesOnDisk, bytesWritten, inFlight, progress, temporaryFolder } from './measure.ts';
import { priceRow } from './prices.ts';

interface Cost {
  rows: number;
  keyBytes: number;
  valueBytes: number;
}

/** Rows of a database by sublevel, those of indexes by index too. */
async function costs(db: Pick<Database, 'level'>): Promise<Map<string, Cost>> {
  const found = new Map<string, Cost>();
  for await (const [key, value] of db.level.iterator({ highWaterMarkBytes: 1024 * 1024 })) {
    const name = nameOf(key);
    const cost = found.get(name) ?? { rows: 0, keyBytes: 0, valueBytes: 0 };
    cost.rows++;
    cost.keyBytes += Buffer.byteLength(key);
    cost.valueBytes += value.length;
    found.set(name, cost);
  }
  return found;
}

function nameOf(key: string): string {
  const name = sublevelOf(key);
  if (name === undefined) return key;
  const { prefix } = KEYSPACE[name];
  if (name === 'index') return `${prefix}! ${key.slice(2, key.indexOf('\0'))}`;
  return `${prefix}! ${name}`;
}

function print(found: ReadonlyMap<string, Cost>, records: number): void {
  let [rows, keyBytes, valueBytes] = [0, 0, 0];
  const line = (name: string, ...figures: number[]): void =>
    progress(
      `${name.padEnd(28)}${figures.map((figure) => (figure / records).toFixed(2).padStart(12)).join('')}`,
    );
  progress(`${''.padEnd(28)}${['rows', 'key bytes', 'value bytes'].map((t) => t.padStart(12)).join('')}`);
  for (const [name, cost] of [...found].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    if (cost.rows * 50 > records) line(name, cost.rows, cost.keyBytes, cost.valueBytes);
    rows += cost.rows;
    keyBytes += cost.keyBytes;
    valueBytes += cost.valueBytes;
  }
  line('a record, all rows', rows, keyBytes, valueBytes);
}

interface Phase {
  readonly cpuUs: number;
  readonly written: number;
}

/** CPU of this thread and bytes written for each record, of one piece of work. */
async function phase(records: number, work: () => Promise<unknown>): Promise<Phase> {
  const before = bytesWritten(process.pid);
  const cpu = process.threadCpuUsage();
  await work();
  const used = process.threadCpuUsage(cpu);
  return {
    cpuUs: (used.user + used.system) / records,
    written: (bytesWritten(process.pid) - before) / records,
  };
}

async function measure(kind: 'listings' | 'prices', count: number): Promise<Record<string, number>> {
  const folder = temporaryFolder('store-rows');
  const merger = threadedMerger();
  const listings = listingRecords(pricesFile(), count);
  const random = seededRandom(7);
  const identity = identityFromSeed(randomBytes(32));
  const open = (name: string, who: Identity = identityFromSeed(randomBytes(32))): Promise<LedgerNode> =>
    openLedgerNode(join(folder.path, name), who, merger);
  const writer = await open('writer', identity);
  const write = async (i: number): Promise<void> => {
    const listing = listings[i] ?? { id: '' };
    if (kind === 'listings') await writer.catalogue.createListing(withoutId(listing));
    else await writer.catalogue.addPrice(priceRow(listing, 0, random));
  };
  const wrote = await phase(count, () => inFlight(count, 64, write));
  const reader = await open('reader');
  const took = await phase(count, async () => {
    await pull(writer, reader, [identity.peerId]);
    await reader.ledger.drain();
  });
  if (held(reader, [identity.peerId]) === 0) throw new Error('nothing was taken in');
  progress(`\n${kind}: bytes of a record at its writer`);
  print(await costs(writer.db), count);
  progress(`\n${kind}: bytes of a record where it was taken in`);
  print(await costs(reader.db), count);
  await writer.close();
  await reader.close();
  const before = bytesOnDisk(join(folder.path, 'writer'));
  const taken = bytesOnDisk(join(folder.path, 'reader'));
  for (const name of ['writer', 'reader']) {
    const db = await Database.open(join(folder.path, name), systemEnv);
    await db.level.compactRange('!', '~');
    await db.close();
  }
  const compact = bytesOnDisk(join(folder.path, 'writer'));
  const compactTaken = bytesOnDisk(join(folder.path, 'reader'));
  folder.close();
  return {
    writeCpuUs: wrote.cpuUs,
    writeBytesWritten: wrote.written,
    takeInCpuUs: took.cpuUs,
    takeInBytesWritten: took.written,
    writerBytesOnDisk: before / count,
    readerBytesOnDisk: taken / count,
    writerCompacted: compact / count,
    readerCompacted: compactTaken / count,
  };
}

const { values } = parseArgs({
  options: {
    count: { type: 'string', default: '12000' },
    data: { type: 'string' },
    only: { type: 'string' },
  },
});
if (values.data === undefined) {
  for (const kind of ['listings', 'prices'] as const) {
    if (values.only !== undefined && values.only !== kind) continue;
    const figures = await measure(kind, Number(values.count));
    process.stdout.write(`${JSON.stringify({ kind, ...figures })}\n`);
  }
} else {
  const db = await Database.open(values.data, systemEnv);
  const found = await costs(db);
  print(found, found.get('r! records')?.rows ?? 1);
  await db.close();
}
