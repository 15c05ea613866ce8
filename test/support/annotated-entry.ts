import { type Entry, signEntry } from '../../protocols/feed/entry.ts';
import { encodeOp, type Op } from '../../protocols/feed/op.ts';
import { fromHex, hex } from '../../protocols/wire/bytes.ts';
import { type Cbor, decodeCbor, encodeCbor } from '../../protocols/wire/cbor.ts';
import { identityFromSeed } from '../../protocols/wire/identity.ts';

/** A stretch of the entry in hex, and what it says. */
export interface Annotated {
  readonly hex: string;
  readonly meaning: string;
}

const PRICE = {
  date: '2026-01-15',
  unit: 'kg',
  price: 55.5,
  market: 'Kisumu',
  currency: 'KES',
  commodity: 'Maize',
  priceType: 'Retail',
};

/** The entry that the specification shows: one price, by the key whose seed is 32 bytes of 01. */
export function shownEntry(): Entry {
  const op: Op = { v: 1, c: 'prices', k: '', t: 'fact', d: encodeCbor(PRICE) };
  const place = {
    net: 'agrinet',
    channel: 'public' as const,
    epoch: '0123456789abcdef',
    seq: 1,
    prev: null,
    after: [],
    time: [1_768_478_400_000, 0] as const,
  };
  return signEntry(identityFromSeed(new Uint8Array(32).fill(1)), place, [encodeOp(op)]);
}

/** Its bytes from the first to the last. */
export function annotated({ envelopeBytes, envelope, body, author }: Entry): Annotated[] {
  const [first] = body;
  if (first === undefined || !('op' in first)) throw new TypeError('the entry shows one whole op');
  const { payload, signature, publicKey } = envelope;
  const typeAt = 6 + publicKey.length;
  const typeLength = envelopeBytes[typeAt + 1] ?? 0;
  const type = envelopeBytes.subarray(typeAt + 2, typeAt + 2 + typeLength);
  const lengthAt = typeAt + 2 + typeLength;
  const payloadAt = envelopeBytes.length - signature.length - 2 - payload.length;
  const data = dataOf(first.op);
  return [
    { hex: '82', meaning: 'list of 2: the envelope, the ops' },
    { hex: headOf(envelopeBytes), meaning: `bytes, ${envelopeBytes.length}: the envelope` },
    { hex: hex(envelopeBytes.subarray(0, 6)), meaning: 'field 1: an Ed25519 key' },
    { hex: hex(publicKey), meaning: `public key of ${author}` },
    {
      hex: hex(envelopeBytes.subarray(typeAt, lengthAt)),
      meaning: `field 2: payload type ${new TextDecoder().decode(type)}`,
    },
    {
      hex: hex(envelopeBytes.subarray(lengthAt, payloadAt)),
      meaning: `field 3: payload, ${payload.length} bytes: the header`,
    },
    ...mapLines(payload),
    { hex: '2a40', meaning: 'field 5: signature, 64 bytes' },
    { hex: hex(signature), meaning: 'Ed25519 over domain agrinet-entry, type and payload' },
    { hex: '81', meaning: 'list of 1: the ops' },
    { hex: headOf(first.op), meaning: `bytes, ${first.op.length}: op 0` },
    ...mapLines(first.op, 'd'),
    { hex: `6164${headOf(data)}`, meaning: `d: bytes, ${data.length}: the fact` },
    ...mapLines(data),
    // Sorted by length and then bytes, the keys behind `d`.
    ...mapLines(first.op, 'd', 'behind'),
  ];
}

/** The head of bytes as a CBOR byte string, hex. */
function headOf(bytes: Uint8Array): string {
  return hex(encodeCbor(bytes).subarray(0, -bytes.length));
}

/** The payload of an op. */
function dataOf(op: Uint8Array): Uint8Array {
  const { d } = mapIn(op);
  if (!(d instanceof Uint8Array)) throw new TypeError('an op without bytes');
  return d;
}

function mapIn(bytes: Uint8Array): Record<string, Cbor> {
  return decodeCbor(bytes) as Record<string, Cbor>; // made above
}

/** A line for the head of a map and for each key; with `around` only the head and what stands before that key, or only what stands behind it. */
function mapLines(bytes: Uint8Array, around?: string, part: 'before' | 'behind' = 'before'): Annotated[] {
  const entries = Object.entries(mapIn(bytes));
  const at = around === undefined ? entries.length : entries.findIndex(([key]) => key === around);
  const head = { hex: hex(bytes.subarray(0, 1)), meaning: `map of ${entries.length}` };
  const lines = entries.map(([key, value]) => ({
    hex: hex(encodeCbor(key)) + hex(encodeCbor(value)),
    meaning: `${key}: ${said(value)}`,
  }));
  return part === 'before' ? [head, ...lines.slice(0, at)] : lines.slice(at + 1);
}

function said(value: Cbor): string {
  return value instanceof Uint8Array ? `bytes ${hex(value)}` : JSON.stringify(value);
}

/** The table of the specification. */
export function annotatedTable(): string {
  const rows = annotated(shownEntry()).map(({ hex: bytes, meaning }) => `| \`${bytes}\` | ${meaning} |`);
  return ['| bytes | meaning |', '|---|---|', ...rows].join('\n');
}

/** What the table's left column is, read back. */
export function bytesOfTable(table: string): Uint8Array {
  return fromHex([...table.matchAll(/^\| `([0-9a-f]+)` \|/gm)].map(([, bytes = '']) => bytes).join(''));
}
