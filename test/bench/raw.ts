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
import { decodeChange, encodeChange, free, load, toJS, type DecodedChange } from '@automerge/automerge';
import { multiaddr } from '@multiformats/multiaddr';
import { ClassicLevel } from 'classic-level';
import { echoHost, ECHO } from './echo-host.ts';
import { readListings, type ListingFields } from './listings.ts';
import { generateLoad } from './load.ts';
import { now, quantile, report, temporaryFolder } from './measure.ts';

const VALUE = Buffer.alloc(300, 'agrinet ');
const BATCHES = 400;
const SIGNATURES = 4000;
const POSTS = 24_000;
const WARM_UP = 4000;
const ECHOES = 1000;

/** The raw parts by name; each gives its figures. */
const parts: Record<string, (listings: ListingFields[]) => Promise<Record<string, number>>> = {
  leveldb: rawLevel,
  ed25519: rawSignatures,
  automerge: rawAutomerge,
  hono: rawHono,
  echo: rawEcho,
};

async function rawLevel(): Promise<Record<string, number>> {
  const folder = temporaryFolder('leveldb');
  const db = new ClassicLevel<string, Buffer>(join(folder.path, 'db'), { valueEncoding: 'buffer' });
  await db.open();
  const started = now();
  for (let batch = 0; batch < BATCHES; batch += 1) {
    const puts = Array.from({ length: 64 }, (_, i) => {
      return {
        type: 'put' as const,
        key: `listing/${String(batch * 64 + i).padStart(9, '0')}`,
        value: VALUE,
      };
    });
    await db.batch(puts, { sync: true });
  }
  const ms = now() - started;
  await db.close();
  folder.close();
  return { batch64PerS: ((BATCHES * 64) / ms) * 1000 };
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
    const document = load<Record<string, unknown>>(change);
    fields += Object.keys(toJS(document)).length;
    free(document);
  }
  const ms = now() - started;
  const bytes = changes.reduce((sum, change) => sum + change.length, 0);
  if (fields < listings.length * 10) throw new Error('the changes do not read back');
  // The same bytes parsed without any document: how far there is to go.
  const again = now();
  for (const change of changes) decodeChange(change);
  return {
    loadPerS: (changes.length / ms) * 1000,
    decodePerS: (changes.length / (now() - again)) * 1000,
    changeBytesPerRecord: bytes / changes.length,
  };
}

/** The change that creates one listing, its strings as scalars, as agrinetd has them. */
function creation(listing: ListingFields, index: number): Uint8Array {
  const change: Omit<DecodedChange, 'hash' | 'author'> = {
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
  return encodeChange(change as DecodedChange); // the hash and the author are results, not inputs
}

async function rawHono(listings: ListingFields[]): Promise<Record<string, number>> {
  const { child, line } = await startBare('hono-server.ts');
  try {
    const requests = Array.from({ length: POSTS }, (_, i) => {
      return { method: 'POST', path: '/listings', body: listings[i % listings.length] };
    });
    const result = await generateLoad({
      port: Number(line),
      headers: {},
      requests,
      inFlight: 64,
      warmUp: WARM_UP,
    });
    return { postsPerS: result.perS };
  } finally {
    child.kill();
  }
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
