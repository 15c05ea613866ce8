import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Scalar } from '../../../protocols/open-dialog/change.ts';
import type { RecordState } from '../../../protocols/open-dialog/record.ts';
import { COLLECTIONS } from '../../../protocols/open-dialog/schema.ts';
import { hex, sha256Hex } from '../../../protocols/wire/bytes.ts';
import { type Channel, parseRecordKey, recordKey } from '../../../protocols/wire/ids.ts';
import { NumberBytesError } from '../../../storage/number-bytes.ts';
import { fullKey } from '../../../storage/keyspace.ts';
import { decodeState } from '../../../storage/record-reader.ts';
import { encodeState } from '../../../storage/record-writer.ts';
import { nameOfNumber, numberOfName } from '../../../storage/record-names.ts';
import { draftRecord, readRecordRow, recordRow } from '../../../storage/stored-record.ts';
import { plainState } from '../../support/record-rows.ts';
import { nodeOf } from '../../support/vectors/signatures.ts';

const hexOf = (bytes: number): fc.Arbitrary<string> =>
  fc.uint8Array({ minLength: bytes, maxLength: bytes }).map(hex);
const localIds = fc.oneof(
  fc.stringMatching(/^[A-Za-z0-9_-]{1,8}$/),
  fc.uint8Array({ minLength: 32, maxLength: 32 }).map((hash) => Buffer.from(hash).toString('base64url')),
);
const keys = fc
  .tuple(fc.constantFrom(...Object.keys(COLLECTIONS)), localIds)
  .map(([collection, id]) => recordKey(collection, nodeOf(1).peerId, id));
const scalars: fc.Arbitrary<Scalar> = fc.oneof(
  fc.string({ maxLength: 20 }),
  fc.string({ unit: 'binary', maxLength: 6 }),
  fc.integer(),
  fc.maxSafeInteger(),
  fc.integer({ min: -100_000, max: 100_000 }).map((n) => n / 100),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((n) => n + 0),
  fc.boolean(),
  fc.constant(null),
);
const names = fc.oneof(
  fc.constantFrom(...Object.values(COLLECTIONS).flatMap(({ fields }) => Object.keys(fields))),
  fc.stringMatching(/^terms\.[01][0-3][0-9]$/),
  fc.string({ maxLength: 12 }),
);
const millis = fc.oneof(fc.nat(), fc.integer({ min: 1_700_000_000_000, max: 1_900_000_000_000 }));
const times = fc.tuple(millis, fc.nat(9));
const rare: fc.Arbitrary<Partial<RecordState>> = fc.oneof(
  { weight: 4, arbitrary: fc.constant({}) },
  fc.record(
    {
      listed: fc.record({ created: times, updated: times }),
      erased: fc.constant(true as const),
      rest: fc.record({ actors: fc.nat() }),
      unmerged: fc.constant('in-progress' as const),
    },
    { requiredKeys: [] },
  ),
);

interface Parts {
  readonly actors: readonly string[];
  readonly fields: readonly (readonly [string, Scalar | undefined, readonly (readonly [number, number])[]])[];
}

const parts: fc.Arbitrary<Parts> = fc.record({
  actors: fc.uniqueArray(hexOf(16), { minLength: 1, maxLength: 4 }),
  fields: fc.uniqueArray(
    fc.tuple(
      names,
      fc.option(scalars, { nil: undefined }),
      fc.array(fc.tuple(fc.nat(300), fc.nat(3)), { maxLength: 3 }),
    ),
    { maxLength: 10, selector: ([name]) => name },
  ),
});

function fieldsOf({ actors, fields }: Parts): Pick<RecordState, 'view' | 'fieldOps' | 'conflicts'> {
  const opOf = ([counter, at]: readonly [number, number]): string =>
    `${counter}@${actors[at % actors.length]}`;
  const several = fields.filter(([, value, ops]) => value !== undefined && ops.length > 1);
  return {
    view: Object.fromEntries(fields.flatMap(([name, value]) => (value === undefined ? [] : [[name, value]]))),
    fieldOps: Object.fromEntries(
      fields.flatMap(([name, , ops]) => (ops.length === 0 ? [] : [[name, ops.map(opOf)]])),
    ),
    conflicts: Object.fromEntries(
      several.map(([name, value = null, ops]) => [name, ops.map((op) => ({ value, op: opOf(op) }))]),
    ),
  };
}

const states: fc.Arbitrary<RecordState> = fc
  .tuple(
    fc.record({
      key: keys,
      channel: fc.oneof(fc.constant<Channel>('public'), keys),
      heads: fc.array(hexOf(32), { maxLength: 3 }),
      maxOp: fc.nat(),
      created: times,
      updated: times,
      tombstone: fc.boolean(),
      exists: fc.boolean(),
      pending: fc.nat(300),
      ops: fc.nat(),
    }),
    parts,
    fc.array(fc.tuple(fc.nat(), fc.nat()), { maxLength: 4 }),
    fc.constantFrom('id', 'once', 'both', 'neither'),
    rare,
  )
  .map(([head, made, seqs, like, tail]) => {
    const hash = Buffer.from(parseRecordKey(head.key)?.id ?? '', 'base64url').toString('hex');
    return {
      ...head,
      heads: (like === 'id' || like === 'both') && hash.length === 64 ? [hash] : head.heads,
      updated: like === 'once' || like === 'both' ? head.created : head.updated,
      ...fieldsOf(made),
      seqs: Object.fromEntries(
        made.actors.slice(0, seqs.length).map((actor, i) => [actor, seqs[i] ?? ([1, 1] as const)]),
      ),
      ...tail,
    };
  });

const ROOM = 3;
const RELEASED = { count: 85, hash: '4d5dffadd0898d8f70335baeb372bbf17928041f4df7241f1ccad079d05735f1' };
const asJson = (state: RecordState): unknown => JSON.parse(JSON.stringify(state));
const compact = (state: RecordState): Uint8Array | undefined => encodeState(state, ROOM)?.subarray(0, -ROOM);

describe('the row of a record', () => {
  it('gives back the state and its change, and puts the fields in their order', () => {
    fc.assert(
      fc.property(states, fc.nat(), (state, change) => {
        const full = fullKey('records', state.key);
        const read = readRecordRow(full, recordRow(full, draftRecord(state), change));
        expect(asJson(read.state)).toEqual(asJson(state));
        expect(Object.keys(read.state.view)).toEqual(Object.keys(state.view));
        expect(read.change).toBe(change);
      }),
      { numRuns: 150 },
    );
  });

  it('has one spelling, and is read from no part of it and from nothing longer', () => {
    fc.assert(
      fc.property(states, fc.double({ min: 0, max: 1, maxExcluded: true }), (state, part) => {
        const bytes = compact(state);
        fc.pre(bytes !== undefined);
        expect(compact(decodeState(state.key, bytes))).toEqual(bytes);
        const end = Math.floor(bytes.length * part);
        const shorter = readOrRefuse(state, bytes.subarray(0, end));
        if (shorter !== undefined) expect(compact(shorter)).toEqual(bytes.subarray(0, end));
        const longer = Buffer.concat([bytes, Buffer.from('x')]);
        expect(readOrRefuse(state, longer)).toBeUndefined();
      }),
      { numRuns: 150 },
    );
  });

  it('is refused when it is altered, or is the row of what it then says', () => {
    fc.assert(
      fc.property(states, fc.nat(), fc.integer({ min: 1, max: 255 }), (state, at, flip) => {
        const bytes = compact(state);
        fc.pre(bytes !== undefined);
        const altered = bytes.map((byte, i) => (i === at % bytes.length ? byte ^ flip : byte));
        const read = readOrRefuse(state, altered);
        if (read !== undefined) expect(compact(read)).toEqual(Buffer.from(altered));
      }),
      { numRuns: 400 },
    );
  });

  it('is refused by its checksum for every flipped bit and every cut', () => {
    fc.assert(
      fc.property(states, fc.nat(), fc.nat(7), fc.nat(), (state, at, bit, cut) => {
        const full = fullKey('records', state.key);
        const row = recordRow(full, draftRecord(state), 7);
        const flipped = row.map((byte, i) => (i === at % row.length ? byte ^ (1 << bit) : byte));
        for (const wrong of [flipped, row.subarray(0, cut % row.length)])
          expect(() => readRecordRow(full, wrong)).toThrow(
            expect.objectContaining({ code: 'value-damaged' }),
          );
      }),
      { numRuns: 150 },
    );
  });
});

/** What bytes are read as; undefined when they are refused, which nothing but that error may say. */
function readOrRefuse({ key }: RecordState, bytes: Uint8Array): RecordState | undefined {
  try {
    return decodeState(key, bytes);
  } catch (error) {
    expect(error).toBeInstanceOf(NumberBytesError);
    return undefined;
  }
}

describe('a name of a field', () => {
  it('has a number of its own, which never changes', () => {
    const all = Array.from({ length: 200 }, (_, i) => nameOfNumber(i + 1)).filter(
      (name) => name !== undefined,
    );
    expect(new Set(all).size).toBe(all.length);
    for (const [i, name] of all.entries()) expect(numberOfName(name)).toBe(i + 1);
    // Rows on the disk go by them: a name may be added behind these, nothing else.
    expect(sha256Hex(all.slice(0, RELEASED.count).join())).toBe(RELEASED.hash);
  });
});

describe('a state with what only JSON holds', () => {
  it.each<[string, Partial<RecordState>]>([
    ['a head that is no hash', { heads: ['x'] }],
    ['half a pair of surrogates', { view: { title: '\ud800' } }],
    ['a name that objects have', { view: { constructor: 1 } }],
    ['ops of a name that objects have', { fieldOps: { valueOf: [`2@${'0'.repeat(32)}`] } }],
    ['an op without its actor', { fieldOps: { title: ['2@0'] } }],
    ['an op with a zero before it', { fieldOps: { title: [`02@${'0'.repeat(32)}`] } }],
    ['a time before 1970', { created: [-1, 0], updated: [-1, 0] }],
  ])('%s: its row gives it back all the same', (_, odd) => {
    const key = recordKey('listings', nodeOf(1).peerId, 'a');
    const state = { ...plainState(key, { title: 'x' }, 1), ...odd };
    expect(encodeState(state, ROOM)).toBeUndefined();
    const full = fullKey('records', key);
    const read = readRecordRow(full, recordRow(full, draftRecord(state), 3));
    expect(JSON.parse(JSON.stringify(read))).toEqual(JSON.parse(JSON.stringify({ state, change: 3 })));
  });
});
