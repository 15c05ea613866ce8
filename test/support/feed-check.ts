import { createHash, createPublicKey, verify } from 'node:crypto';
import { decode } from '@ipld/dag-cbor';
import type { Daemon } from './daemon.ts';

/** What an author's feeds hold, by epoch: the number of entries. */
export interface FeedSummary {
  readonly epochs: ReadonlyMap<string, number>;
  readonly entries: number;
  readonly ops: number;
}

interface Seen {
  readonly hashes: string[];
  readonly after: readonly (readonly [Uint8Array, number, Uint8Array])[];
}

/** Kinds of items on the wire. */
const [ENTRY, PROOF] = [0, 1];

/** An op, or the hash of one that is erased. */
type BodyItem = Uint8Array | readonly [Uint8Array];

const SPKI = Buffer.from('302a300506032b6570032100', 'hex');
const sha256 = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest();
const hashOf = (item: BodyItem): Uint8Array => (item instanceof Uint8Array ? sha256(item) : item[0]);
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/**
 * Reads an author's public feeds over HTTP and checks them with nothing of the daemon's code, by protocols/README.md: every
 * signature, root and chain, each place taken once, and no `after` that names what is not so. Throws at the first that fails.
 */
export async function checkFeeds(daemon: Daemon, author: string): Promise<FeedSummary> {
  const { feeds } = await daemon.json<{ feeds: { author: string; items: { fork?: string }[] }[] }>(
    'GET',
    '/federation/feeds',
  );
  for (const feed of feeds)
    if (feed.items.some((item) => item.fork !== undefined)) throw new Error(`${feed.author} has a fork`);
  const response = await daemon.request('GET', `/federation/feeds/${author}`);
  let rest: Uint8Array = new Uint8Array(await response.arrayBuffer());
  const epochs = new Map<string, Seen>();
  let ops = 0;
  while (rest.length > 0) {
    const end = itemEnd(rest, 0);
    const [kind, item] = decode<[number, Uint8Array]>(rest.subarray(0, end));
    rest = rest.subarray(end);
    if (kind === PROOF) throw new Error(`${author} has a fork`);
    // An erasure stands before the entry that it takes ops out of, and each such op's hash in the op's place.
    if (kind === ENTRY) ops += checkEntry(decode<[Uint8Array, BodyItem[]]>(item), epochs);
  }
  for (const [epoch, { after }] of epochs)
    for (const [named, seq, hash] of after) {
      const there = epochs.get(hex(named))?.hashes;
      if (there === undefined || there.length < seq)
        throw new Error(`${epoch} names ${hex(named)} at ${seq}, which is gone`);
      if (there[seq - 1] !== hex(hash)) throw new Error(`${epoch} names another history of ${hex(named)}`);
    }
  const counts = new Map([...epochs].map(([epoch, { hashes }]) => [epoch, hashes.length]));
  return { epochs: counts, entries: [...counts.values()].reduce((a, b) => a + b, 0), ops };
}

function checkEntry([envelope, body]: [Uint8Array, BodyItem[]], epochs: Map<string, Seen>): number {
  const fields = protobuf(envelope);
  const key = fields.get(1)?.subarray(4);
  const [type, payload, signature] = [fields.get(2), fields.get(3), fields.get(5)];
  if (key === undefined || type === undefined || payload === undefined || signature === undefined)
    throw new Error('an envelope lacks a field');
  const domain = Buffer.from('agrinet-entry');
  const signed = Buffer.concat([domain, type, payload].flatMap((part) => [varint(part.length), part]));
  const publicKey = createPublicKey({ key: Buffer.concat([SPKI, key]), format: 'der', type: 'spki' });
  if (!verify(null, signed, publicKey, signature)) throw new Error('a signature does not hold');
  const header = decode<{
    epoch: Uint8Array;
    seq: number;
    prev: Uint8Array | null;
    after: Seen['after'];
    n: number;
    root: Uint8Array;
  }>(payload);
  if (header.n !== body.length || !sha256(Buffer.concat(body.map(hashOf))).equals(header.root))
    throw new Error('header and body do not belong together');
  const seen: Seen = epochs.get(hex(header.epoch)) ?? { hashes: [], after: header.after };
  epochs.set(hex(header.epoch), seen);
  if (header.seq !== seen.hashes.length + 1)
    throw new Error(`place ${header.seq} after ${seen.hashes.length}`);
  if ((header.prev === null ? undefined : hex(header.prev)) !== seen.hashes.at(-1))
    throw new Error('the chain breaks');
  seen.hashes.push(hex(sha256(payload)));
  return header.n;
}

/** Length-delimited fields of a protobuf message. */
function protobuf(bytes: Uint8Array): Map<number, Uint8Array> {
  const fields = new Map<number, Uint8Array>();
  let at = 0;
  const number = (): number => {
    let value = 0;
    for (let shift = 1; ; shift *= 128) {
      const byte = bytes[at++] ?? 0;
      value += (byte & 0x7f) * shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < bytes.length) {
    const field = number() >> 3;
    const length = number();
    fields.set(field, bytes.subarray(at, (at += length)));
  }
  return fields;
}

function varint(value: number): Buffer {
  const out: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    out.push(rest > 0x7f ? (rest & 0x7f) | 0x80 : rest);
    if (rest <= 0x7f) return Buffer.from(out);
  }
}

/** Where the CBOR item that begins at `at` ends. A sequence holds arrays of a number and a byte string only. */
function itemEnd(bytes: Uint8Array, at: number): number {
  const head = bytes[at] ?? 0xff;
  const info = head & 0x1f;
  const width = info < 24 ? 0 : 2 ** (info - 24);
  let value = info < 24 ? info : 0;
  for (let i = 1; i <= width; i++) value = value * 256 + (bytes[at + i] ?? 0);
  const start = at + 1 + width;
  if (head >> 5 === 0) return start;
  if (head >> 5 === 2) return start + value;
  if (head >> 5 !== 4) throw new Error('not an array of a number and a byte string');
  let end = start;
  for (let i = 0; i < value; i++) end = itemEnd(bytes, end);
  return end;
}
