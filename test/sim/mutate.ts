import { type Cbor, encodeCbor } from '../../protocols/wire/cbor.ts';
import { concat, fromHex, sha256 } from '../../protocols/wire/bytes.ts';
import { COLUMN } from '../../protocols/open-dialog/columns.ts';
import type { Random } from '../support/forge.ts';

/** Heads of CBOR that promise far more than follows, and other bytes that readers stumble over. */
const NASTY = [
  [0x9b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
  [0xbb, 0x00, 0x1f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
  [0x5b, 0x00, 0x00, 0x00, 0x00, 0x7f, 0xff, 0xff, 0xff],
  [0x7b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
  [0x1b, 0x00, 0x20, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00],
  [0x9f, 0xff],
  [0xf7],
  [0xfb, 0x7f, 0xf0, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00],
  [0xfb, 0x7f, 0xf8, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00],
  [0xd8, 0x2a, 0x41, 0x00],
  [0x63, 0xed, 0xa0, 0x80],
  [0x69, 0x5f, 0x5f, 0x70, 0x72, 0x6f, 0x74, 0x6f, 0x5f, 0x5f],
  [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
].map((bytes) => Uint8Array.from(bytes));

/** Malformed bytes made of well-formed ones, now and then of nothing at all. */
export function mutated(seeds: readonly Uint8Array[], random: Random, longest: number): Uint8Array {
  let bytes = random.pick(seeds);
  if (random.int(100) === 0) return deep(random, longest);
  if (random.int(50) === 0) return mutatedBytes(anyCbor(random), random);
  for (let times = 1 + random.int(3); times > 0; times--) {
    const at = random.int(bytes.length + 1);
    switch (random.int(8)) {
      case 0:
        bytes = bytes.subarray(0, at);
        break;
      case 1:
        bytes = concat([bytes.subarray(0, at), random.pick(NASTY), bytes.subarray(at)]);
        break;
      case 2:
        bytes = concat([bytes.subarray(0, at), random.pick(NASTY)]);
        break;
      case 3:
        bytes = concat([bytes.subarray(0, at), random.pick(seeds).subarray(at)]);
        break;
      case 4: {
        const end = at + random.int(64);
        bytes = concat([bytes.subarray(0, end), bytes.subarray(at)]);
        break;
      }
      case 5:
        bytes = concat([bytes.subarray(0, at), bytes.subarray(at + 1 + random.int(16))]);
        break;
      case 6:
        bytes = random.int(20) === 0 ? random.bytes(random.int(256)) : flipped(bytes, random);
        break;
      default:
        bytes = flipped(bytes, random);
    }
  }
  return bytes.subarray(0, longest + 1);
}

function flipped(bytes: Uint8Array, random: Random): Uint8Array {
  const copy = bytes.slice();
  for (let times = 1 + random.int(4); times > 0 && copy.length > 0; times--) {
    const at = random.int(copy.length);
    copy[at] = random.int(2) === 0 ? random.int(256) : (copy[at] ?? 0) ^ (1 << random.int(8));
  }
  return copy;
}

/** Lists in lists, maps in maps, as deep as fits; or a frame of one byte repeated. */
function deep(random: Random, longest: number): Uint8Array {
  const length = Math.min(longest, 1 + random.int(random.int(10) === 0 ? 1 << 20 : 1 << 12));
  const bytes = new Uint8Array(length);
  bytes.fill(random.pick([0x81, 0x82, 0xa1, 0x61, 0x41, 0xd8, 0x00, 0xff]));
  return bytes;
}

const LONE_SURROGATE = 'a\ud800b';

/** A value of any allowed type in place of another. */
export function anyCbor(random: Random): Cbor {
  return random.pick<Cbor>([
    null,
    true,
    0,
    -1,
    1.5,
    Number.MAX_SAFE_INTEGER,
    2 ** 31,
    2 ** 32,
    '',
    'public',
    '__proto__',
    'constructor',
    'a\0b',
    LONE_SURROGATE.slice(0, 1),
    '\ufeffx',
    'x'.repeat(random.int(9000)),
    random.bytes(random.pick([0, 8, 16, 31, 32, 33])),
    [],
    [[]],
    {},
    { ['constructor']: 1 },
  ]);
}

/** A copy of plain data with one place of it, at any depth, replaced, removed, doubled or added. */
export function mutatedCbor(value: Cbor, random: Random): Cbor {
  if (random.int(4) === 0 || typeof value !== 'object' || value === null || value instanceof Uint8Array) {
    if (typeof value === 'number' && random.int(2) === 0) return value + random.pick([-1, 1, 2 ** 20]);
    if (value instanceof Uint8Array && value.length > 0 && random.int(2) === 0) return flipped(value, random);
    return anyCbor(random);
  }
  if (isList(value)) {
    const list = [...value];
    const at = random.int(list.length + 1);
    const there = list[at];
    if (there === undefined)
      list.push(list.length > 0 && random.int(2) === 0 ? random.pick(list) : anyCbor(random));
    else
      list.splice(at, 1, ...random.pick<readonly Cbor[]>([[], [there, there], [mutatedCbor(there, random)]]));
    return list;
  }
  const map: Record<string, Cbor> = { ...value };
  const key = random.pick([...Object.keys(map), 'extra']);
  const there = map[key];
  if (there === undefined) map[random.pick(['extra', 'constructor', 'toString', 'v2'])] = anyCbor(random);
  else if (random.int(6) === 0) delete map[key];
  else map[key] = mutatedCbor(there, random);
  return map;
}

function isList(value: Cbor): value is readonly Cbor[] {
  return Array.isArray(value);
}

/** The bytes of mutated plain data. */
export function mutatedBytes(value: Cbor, random: Random): Uint8Array {
  return encodeCbor(mutatedCbor(value, random));
}

/** The chunk of a change with the checksum its bytes have now. */
export function resealed(chunk: Uint8Array): Uint8Array {
  const copy = chunk.slice();
  if (copy.length > 8) copy.set(sha256(copy.subarray(8)).subarray(0, 4), 4);
  return copy;
}

/** A change below 200 bytes that sets one field a million times: seconds and hundreds of megabytes, to whoever expands it. */
export function bomb(actor: string, deps: readonly string[]): Uint8Array {
  const million = [0xc0, 0x84, 0x3d];
  const columns: [number, number[]][] = [
    [COLUMN.keyString, [...million, 5, ...Buffer.from('title')]],
    [COLUMN.insert, million],
    [COLUMN.action, [...million, 1]],
    [COLUMN.valueMeta, [...million, 0]],
    [COLUMN.predGroup, [...million, 0]],
  ];
  const body = concat([
    Uint8Array.of(deps.length),
    ...deps.map(fromHex),
    Uint8Array.of(16),
    fromHex(actor),
    Uint8Array.of(1, 2, 0, 0, 0, columns.length),
    ...columns.map(([specifier, data]) => Uint8Array.of(...leb(specifier), data.length)),
    ...columns.map(([, data]) => Uint8Array.from(data)),
  ]);
  const head = Uint8Array.of(0x85, 0x6f, 0x4a, 0x83, 0, 0, 0, 0, 1, ...leb(body.length));
  return resealed(concat([head, body]));
}

function leb(value: number): number[] {
  return value < 128 ? [value] : [(value & 0x7f) | 0x80, ...leb(value >>> 7)];
}
