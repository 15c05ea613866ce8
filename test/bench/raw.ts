/**
 * The raw parts that agrinetd is built on, each by itself: `node raw.ts <part> --records listings.ndjson`.
 * Each is what a perfect implementation over the same libraries could not beat.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { generateKeyPairSync, sign, verify } from 'node:crypto';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as Automerge from '@automerge/automerge';
import { multiaddr } from '@multiformats/multiaddr';
import { ClassicLevel } from 'classic-level';
import { echoHost, ECHO } from './echo-host.ts';
import { decodeEntry, bodyMatches, type Entry, signEntry } from '../../protocols/feed/entry.ts';
import { ENTRY_ENVELOPE } from '../../protocols/feed/header.ts';
import { decodeOp, encodeOp } from '../../protocols/feed/op.ts';
import { placedOps } from '../../protocols/ledger/placed-ops.ts';
import { decodeChange, encodeChange } from '../../protocols/open-dialog/change.ts';
import { readOp } from '../../protocols/open-dialog/read-op.ts';
import { signatureHolds } from '../../protocols/wire/envelope.ts';
import { identityFromSeed } from '../../protocols/wire/identity.ts';
import { createBenchNode } from '../support/in-process-node.ts';
import { readListings, withoutId, type ListingFields } from './listings.ts';
import { inFlight, now, quantile, report, temporaryFolder } from './measure.ts';

const VALUE = Buffer.alloc(300, 'agrinet ');
/** Of the product's keys, most of which name a record or an entry. */
const KEY_BYTES = 90;
const SAMPLE = 2000;
const BATCHES = 400;
const SIGNATURES = 4000;
const ECHOES = 1000;

/** The raw parts by name; each gives its figures. */
const parts: Record<string, (listings: ListingFields[]) => Promise<Record<string, number>>> = {
  leveldb: rawLevel,
  codec: rawCodec,
  ed25519: rawSignatures,
  automerge: rawAutomerge,
  echo: rawEcho,
};

async function rawLevel(listings: ListingFields[]): Promise<Record<string, number>> {
  const { keysPerRecord, bytesPerRecord } = await productRows(listings);
  const keys = Math.round(keysPerRecord);
  const value = Buffer.alloc(Math.max(1, Math.round(bytesPerRecord / keys) - KEY_BYTES), 'agrinet ');
  return {
    batch64PerS: await batchesPerS(1, VALUE),
    // As many keys and bytes for each record as the product writes: what no product on this database could beat.
    productRowsPerS: await batchesPerS(keys, value),
    keysPerRecord,
    bytesPerRecord,
  };
}

/** Records/s in fsynced batches of 64, each record a number of keys with that value. */
async function batchesPerS(keys: number, value: Buffer): Promise<number> {
  const folder = temporaryFolder('leveldb');
  const db = new ClassicLevel<string, Buffer>(join(folder.path, 'db'), { valueEncoding: 'buffer' });
  await db.open();
  const started = now();
  for (let batch = 0; batch < BATCHES; batch += 1) {
    const puts = Array.from({ length: 64 * keys }, (_, i) => {
      const [record, key] = [batch * 64 + Math.floor(i / keys), i % keys];
      return {
        type: 'put' as const,
        key: `${key}/listing/${String(record).padStart(KEY_BYTES - 10, '0')}`,
        value,
      };
    });
    await db.batch(puts, { sync: true });
  }
  const ms = now() - started;
  await db.close();
  folder.close();
  return ((BATCHES * 64) / ms) * 1000;
}

/** What the product's database holds for each listing, in keys and in bytes of keys and values. */
async function productRows(
  listings: ListingFields[],
): Promise<{ keysPerRecord: number; bytesPerRecord: number }> {
  const folder = temporaryFolder('rows');
  const rows = { keys: 0, bytes: 0 };
  try {
    await entriesOf(listings.slice(0, SAMPLE), folder.path);
    const db = new ClassicLevel<Buffer, Buffer>(join(folder.path, 'db'), {
      keyEncoding: 'buffer',
      valueEncoding: 'buffer',
    });
    for await (const [key, value] of db.iterator()) {
      rows.keys += 1;
      rows.bytes += key.length + value.length;
    }
    await db.close();
  } finally {
    folder.close();
  }
  return { keysPerRecord: rows.keys / SAMPLE, bytesPerRecord: rows.bytes / SAMPLE };
}

/** The entries of a node that wrote these listings, 64 in flight, into a folder. */
async function entriesOf(listings: readonly ListingFields[], folder: string): Promise<Entry[]> {
  const node = await createBenchNode(folder);
  const entries: Entry[] = [];
  node.onEntries((more) => void entries.push(...more));
  try {
    await inFlight(listings.length, 64, async (i) => {
      const listing = listings[i];
      if (listing !== undefined) await node.writeListing(withoutId(listing));
    });
  } finally {
    await node.close();
  }
  return entries;
}

/** The product's own codec, without database, network or state: what a catch-up cannot do without, and what a write cannot. */
async function rawCodec(listings: ListingFields[]): Promise<Record<string, number>> {
  const folder = temporaryFolder('codec');
  try {
    const entries = await entriesOf(listings, folder.path);
    const bytes = entries.map((entry) => entry.bytes);
    let started = now();
    let read = 0;
    for (const each of bytes) {
      const entry = decodeEntry(each);
      if (!signatureHolds(ENTRY_ENVELOPE, entry.envelope) || !bodyMatches(entry))
        throw new Error('an entry does not verify');
      for (const op of placedOps(entry)) read += readOp(op).key === undefined ? 0 : 1;
    }
    const readMs = now() - started;
    if (read < listings.length) throw new Error(`${read} of ${listings.length} listings read`);
    const identity = identityFromSeed(new Uint8Array(32));
    const changes = entries.map((entry) =>
      placedOps(entry).flatMap(({ bytes: op }) => {
        const decoded = decodeOp(op);
        return decoded?.c === 'listings' ? [{ op: decoded, change: decodeChange(decoded.d) }] : [];
      }),
    );
    started = now();
    for (const [i, { header }] of entries.entries()) {
      const ops = changes[i]?.map(({ op, change }) => encodeOp({ ...op, d: encodeChange(change) })) ?? [];
      if (ops.length > 0) signEntry(identity, header, ops);
    }
    const writeMs = now() - started;
    return {
      readPerS: (listings.length / readMs) * 1000,
      writePerS: (listings.length / writeMs) * 1000,
      recordsPerEntry: listings.length / entries.length,
    };
  } finally {
    folder.close();
  }
}

async function rawSignatures(): Promise<Record<string, number>> {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  let started = now();
  let signature = Buffer.alloc(64);
  for (let i = 0; i < SIGNATURES; i += 1) signature = sign(null, VALUE, privateKey);
  const signPerS = (SIGNATURES / (now() - started)) * 1000;
  started = now();
  let valid = 0;
  for (let i = 0; i < SIGNATURES; i += 1) valid += verify(null, VALUE, publicKey, signature) ? 1 : 0;
  const verifyPerS = (valid / (now() - started)) * 1000;
  return { signPerS, verifyPerS };
}

async function rawAutomerge(listings: ListingFields[]): Promise<Record<string, number>> {
  const changes = listings.map(creation);
  const started = now();
  let fields = 0;
  for (const change of changes) {
    const document = Automerge.load<Record<string, unknown>>(change);
    fields += Object.keys(Automerge.toJS(document)).length;
    Automerge.free(document);
  }
  const ms = now() - started;
  const bytes = changes.reduce((sum, change) => sum + change.length, 0);
  if (fields < listings.length * 10) throw new Error('the changes do not read back');
  // The same bytes parsed without any document: how far there is to go.
  const again = now();
  for (const change of changes) Automerge.decodeChange(change);
  return {
    loadPerS: (changes.length / ms) * 1000,
    decodePerS: (changes.length / (now() - again)) * 1000,
    changeBytesPerRecord: bytes / changes.length,
  };
}

/** The change that creates one listing, its strings as scalars, as agrinetd has them. */
function creation(listing: ListingFields, index: number): Uint8Array {
  const change: Omit<Automerge.DecodedChange, 'hash' | 'author'> = {
    actor: index.toString(16).padStart(32, '0'),
    seq: 1,
    startOp: 1,
    time: 0,
    message: null,
    deps: [],
    ops: Object.entries(listing).map(([key, value]) => {
      const number = typeof value === 'number' ? { datatype: 'float64' as const } : {};
      return { action: 'set' as const, obj: '_root', key, insert: false, value, ...number, pred: [] };
    }),
  };
  return Automerge.encodeChange(change as Automerge.DecodedChange); // the hash and the author are results, not inputs
}

async function rawEcho(): Promise<Record<string, number>> {
  const { child, line } = await startBare('echo-server.ts');
  const folder = temporaryFolder('echo');
  const db = new ClassicLevel<string, Buffer>(join(folder.path, 'db'), { valueEncoding: 'buffer' });
  await db.open();
  const host = await echoHost([]);
  try {
    const stream = await host.dialProtocol(multiaddr(line), ECHO);
    const times: number[] = [];
    let back = 0;
    let whole = Promise.withResolvers<void>();
    stream.addEventListener('message', (event) => {
      back += event.data.byteLength;
      if (back >= VALUE.length) whole.resolve();
    });
    for (let i = 0; i < ECHOES; i += 1) {
      back = 0;
      whole = Promise.withResolvers();
      const started = now();
      await db.put(`listing/${i}`, VALUE, { sync: true });
      stream.send(VALUE);
      await whole.promise;
      times.push(now() - started);
    }
    // The first writes set the connection and the compiler going.
    const warm = times.slice(ECHOES / 5);
    return { echoFsyncP50Ms: quantile(warm, 0.5), echoFsyncP99Ms: quantile(warm, 0.99) };
  } finally {
    await host.stop();
    await db.close();
    folder.close();
    child.kill();
  }
}

async function startBare(script: string): Promise<{ child: ChildProcess; line: string }> {
  const path = fileURLToPath(new URL(script, import.meta.url));
  const child = spawn(process.execPath, [path], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = await once(createInterface(child.stdout), 'line', { signal: AbortSignal.timeout(20_000) });
  return { child, line: String(line) };
}

const [name = '', , file = ''] = process.argv.slice(2);
const part = parts[name];
if (part === undefined) throw new Error(`no raw part "${name}"; there are ${Object.keys(parts).join(', ')}`);
const metrics = await part(readListings(file));
report({ name: `raw ${name}`, metrics, notes: [] });
