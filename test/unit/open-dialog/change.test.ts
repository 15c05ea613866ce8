import { hash } from 'node:crypto';

import * as Automerge from '@automerge/automerge';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { AgrinetError } from '../../../protocols/errors.ts';
import type { Change, FieldOp, OpId, Scalar } from '../../../protocols/open-dialog/change.ts';
import { changeHash, decodeChange, encodeChange } from '../../../protocols/open-dialog/change.ts';

type AutomergeChange = ReturnType<typeof Automerge.decodeChange>;
type ToEncode = Parameters<typeof Automerge.encodeChange>[0];

const ACTORS = ['aa', 'bb', '11', 'ff', '00'].map((byte) => byte.repeat(16));
const [ACTOR = '', OTHER = '', THIRD = ''] = ACTORS;
const BASE: Change = { actor: ACTOR, seq: 1, startOp: 1, time: 5, deps: [], ops: [] };

/** Our change as Automerge's encoder takes it. */
function toAutomerge(change: Change): ToEncode {
  const ops = change.ops.map((op) => {
    const number = typeof op.value === 'number';
    return {
      action: op.action,
      obj: '_root',
      key: op.field,
      insert: false,
      // Automerge takes null here although its type does not say so.
      ...(op.action === 'set' && { value: op.value as string }),
      ...(number && { datatype: Number.isSafeInteger(op.value) ? 'int' : 'float64' }),
      pred: op.pred.map((id) => `${id.counter}@${id.actor}`),
    };
  });
  const { actor, seq, startOp, time } = change;
  return { actor, author: null, seq, startOp, time, message: null, deps: [...change.deps], ops };
}

/** What Automerge reads, in our shape. */
function fromAutomerge(change: AutomergeChange) {
  const ops = change.ops.map((op): FieldOp => {
    const action = op.action === 'del' ? 'del' : 'set';
    const pred = op.pred.map((id): OpId => {
      const [counter, actor = ''] = id.split('@');
      return { counter: Number(counter), actor };
    });
    const field = String(op.key);
    return action === 'del' ? { action, field, pred } : { action, field, value: op.value as Scalar, pred };
  });
  const { actor, seq, startOp, time, deps, hash: id } = change;
  return { actor, seq, startOp, time, deps, ops, hash: id };
}

/** The same bytes with the checksum they ought to have. */
function sealed(bytes: Uint8Array): Uint8Array {
  const copy = Buffer.from(bytes);
  copy.write(hash('sha256', copy.subarray(8), 'hex'), 4, 4, 'hex');
  return copy;
}

function chunkOf(body: string, type = 1): Uint8Array {
  const bytes = Buffer.from(body, 'hex');
  const length = bytes.length < 0x80 ? [bytes.length] : [(bytes.length & 0x7f) | 0x80, bytes.length >> 7];
  return sealed(Buffer.concat([Buffer.from([0x85, 0x6f, 0x4a, 0x83, 0, 0, 0, 0, type, ...length]), bytes]));
}

/** A chunk of hand-made columns, each `[specifier, data in hex]`. */
function chunkOfColumns(columns: readonly (readonly [number, string])[], tail = ''): Uint8Array {
  const heads = columns.map(([specifier, data]) => byte(specifier) + byte(data.length / 2)).join('');
  const data = columns.map(([, bytes]) => bytes).join('');
  return chunkOf(`0010${ACTOR}0101050000${byte(columns.length)}${heads}${data}${tail}`);
}

function byte(value: number): string {
  return value.toString(16).padStart(2, '0');
}

/** One `x = 1` with some of its columns replaced. */
function oneSet(replaced: Record<number, string> = {}): Uint8Array {
  const columns: Record<number, string> = {
    0x15: '7f0178',
    0x34: '01',
    0x42: '7f01',
    0x56: '7f14',
    0x57: '01',
    0x70: '7f00',
    ...replaced,
  };
  return chunkOfColumns(
    Object.entries(columns).map(([specifier, data]) => [Number(specifier), data] as const),
  );
}

function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof AgrinetError) return error.code;
    throw error;
  }
  return 'accepted';
}

const text = fc.oneof(
  fc.string({ maxLength: 12 }),
  fc.string({ unit: 'binary', maxLength: 60 }),
  fc.string({ unit: 'grapheme', minLength: 20, maxLength: 200 }),
  fc.constantFrom('', '\ufeffbom', 'x'.repeat(127), 'x'.repeat(128), 'é'.repeat(64), 'é'.repeat(31)),
);
const plainNumber = fc.oneof(
  fc.maxSafeInteger(),
  fc.integer({ min: -130, max: 130 }),
  fc.constantFrom(
    0,
    63,
    64,
    -64,
    -65,
    2 ** 31,
    -(2 ** 31),
    2 ** 53 - 1,
    -(2 ** 53 - 1),
    2 ** 53,
    1e300,
    5e-324,
  ),
  fc
    .tuple(fc.integer({ min: 1 }), fc.integer({ min: 1, max: 5 }))
    .map(([digits, places]) => digits / 10 ** places),
);
const double = fc.double({ noNaN: true, noDefaultInfinity: true }).filter((value) => !Object.is(value, -0));
const opId = fc.record({
  counter: fc.oneof(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 2 ** 31 - 1 })),
  actor: fc.constantFrom(...ACTORS),
});
const pred = fc.uniqueArray(opId, { maxLength: 5, selector: (id) => `${id.counter}@${id.actor}` });
const field = fc.oneof(fc.constantFrom('title', 'price', 'unit'), text);
const digest = fc
  .uint8Array({ minLength: 32, maxLength: 32 })
  .map((bytes) => Buffer.from(bytes).toString('hex'));

function changes(number: fc.Arbitrary<number>): fc.Arbitrary<Change> {
  const value = fc.oneof(text, number, fc.boolean(), fc.constant(null));
  const op: fc.Arbitrary<FieldOp> = fc.oneof(
    fc.record({ action: fc.constant('set' as const), field, value, pred }),
    fc.record({ action: fc.constant('del' as const), field, pred }),
  );
  return fc.record({
    actor: fc.constantFrom(...ACTORS),
    seq: fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 2 ** 31 - 1 })),
    startOp: fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 2 ** 31 - 256 })),
    time: fc.oneof(fc.integer(), fc.maxSafeInteger()),
    deps: fc.uniqueArray(digest, { maxLength: 4 }),
    ops: fc.array(op, { maxLength: 20 }),
  });
}
const anyChange = changes(fc.oneof(plainNumber, double));
// Automerge's encoder takes its change as JSON and reads that so loosely that one random double in ten comes out a bit
// off (908.1749035631293 does). Its documents do not, so those stand in for it below.
const plainChange = changes(plainNumber);

describe('against Automerge', () => {
  test('random changes have the bytes that Automerge gives them, and read as Automerge reads them', () => {
    fc.assert(
      fc.property(plainChange, (change) => {
        const theirs = Automerge.encodeChange(toAutomerge(change));
        expect(Buffer.from(encodeChange(change)).toString('hex')).toBe(Buffer.from(theirs).toString('hex'));
        expect(decodeChange(theirs)).toEqual(fromAutomerge(Automerge.decodeChange(theirs)));
        expect(changeHash(theirs)).toBe(Automerge.decodeChange(theirs).hash);
      }),
      { numRuns: 3_000 },
    );
  });

  test('every double survives, and has the bytes a document gives it', () => {
    fc.assert(
      fc.property(double, (value) => {
        const change = { ...BASE, ops: [{ action: 'set' as const, field: 'x', value, pred: [] }] };
        expect(decodeChange(encodeChange(change))).toMatchObject(change);
        if (Number.isSafeInteger(value)) return;
        const doc = Automerge.change(
          Automerge.init<{ x?: unknown }>({ actor: ACTOR }),
          { time: 5 },
          (draft) => {
            draft.x = new Automerge.Float64(value);
          },
        );
        expect(
          Buffer.from(encodeChange(change)).equals(Automerge.getLastLocalChange(doc) ?? new Uint8Array()),
        ).toBe(true);
      }),
      { numRuns: 1_000 },
    );
  });

  test('long runs and the largest change have them too', () => {
    const ops = Array.from({ length: 256 }, (_, i): FieldOp => {
      const ids = ACTORS.map((actor) => ({ counter: 1 + (i >> 3), actor })).slice(0, i % 3);
      return { action: 'set', field: `f${i >> 2}`, value: i < 100 ? 'wheat' : i % 7, pred: ids };
    });
    const change = { ...BASE, startOp: 50, ops };
    expect(encodeChange(change)).toEqual(Automerge.encodeChange(toAutomerge(change)));
    expect(decodeChange(encodeChange(change))).toMatchObject(change);
  });

  test('the changes of real documents, with several writers and merges, come out unchanged', () => {
    type Fields = Record<string, Automerge.ImmutableString | number | boolean | null>;
    const names = ['title', 'price', 'unit', 'lot', 'note'];
    const value = fc.oneof(
      text.map((value) => new Automerge.ImmutableString(value)),
      fc.maxSafeInteger(),
      fc.double({ min: 0.01, max: 9e6, noNaN: true }),
      fc.boolean(),
      fc.constant(null),
    );
    const step = fc.record({
      writer: fc.nat(2),
      from: fc.nat(2),
      merge: fc.boolean(),
      writes: fc.dictionary(fc.constantFrom(...names), fc.option(value, { nil: undefined }), { minKeys: 1 }),
    });
    let merged = 0;
    fc.assert(
      fc.property(fc.array(step, { minLength: 4, maxLength: 20 }), (steps) => {
        const genesis = Automerge.change(
          Automerge.init<Fields>({ actor: ACTOR }),
          { time: 1 },
          (doc) => void (doc.title = 1),
        );
        const docs = [genesis, ...[OTHER, THIRD].map((actor) => Automerge.clone(genesis, { actor }))];
        for (const [time, { writer, from, merge, writes }] of steps.entries()) {
          let doc = docs[writer];
          const source = docs[from];
          if (doc === undefined || source === undefined) throw new Error('no such document');
          if (merge && from !== writer) doc = Automerge.merge(doc, source);
          docs[writer] = Automerge.change(doc, { time }, (draft) => {
            for (const [name, write] of Object.entries(writes)) {
              if (write === undefined) delete draft[name];
              else draft[name] = write;
            }
          });
        }
        for (const doc of docs) {
          for (const real of Automerge.getAllChanges(doc)) {
            const known = Automerge.decodeChange(real);
            const bytes = encodeChange(fromAutomerge(known));
            // What the document stores may be deflated; the hash is of the plain chunk either way.
            expect(changeHash(bytes)).toBe(known.hash);
            if (real[8] === 1) expect(Buffer.from(bytes).equals(real)).toBe(true);
            expect(decodeChange(bytes)).toEqual(fromAutomerge(known));
            if (known.ops.some((write) => write.pred.length > 1)) merged += 1;
          }
        }
      }),
      { numRuns: 150 },
    );
    expect(merged).toBeGreaterThan(20);
  });
});

describe('hostile bytes', () => {
  test('a mutant is refused with a code, or is the one encoding of what it reads as', () => {
    const seeds = fc
      .sample(anyChange, { numRuns: 200, seed: 20_260_101 })
      .map((change) => encodeChange(change));
    let accepted = 0;
    let slowest = 0;
    fc.assert(
      fc.property(
        fc.constantFrom(...seeds),
        fc.array(fc.tuple(fc.nat(), fc.constantFrom('set', 'cut', 'add', 'flip'), fc.nat(255)), {
          minLength: 1,
          maxLength: 3,
        }),
        (seed, edits) => {
          // The magic, type and length stay right for most, so that the body is what is tested.
          let body = [...seed.subarray(seed.length < 138 ? 10 : 11)];
          for (const [at, kind, value] of edits) {
            const i = at % (body.length + 1);
            if (kind === 'set') body[i] = value;
            if (kind === 'flip') body[i] = (body[i] ?? 0) ^ (1 << (value & 7));
            if (kind === 'cut') body = body.toSpliced(i, 1);
            if (kind === 'add') body = body.toSpliced(i, 0, value);
          }
          const mutant = chunkOf(Buffer.from(body).toString('hex'));
          const begun = process.threadCpuUsage();
          const code = codeOf(() => {
            const bytes = encodeChange(decodeChange(mutant));
            expect(Buffer.from(bytes).equals(mutant)).toBe(true);
          });
          const { user, system } = process.threadCpuUsage(begun);
          slowest = Math.max(slowest, (user + system) / 1000);
          if (code === 'accepted') accepted += 1;
          else expect(code).toMatch(/^change-/);
        },
      ),
      { numRuns: 20_000 },
    );
    expect(accepted).toBeGreaterThan(1_000);
    expect(slowest).toBeLessThan(200);
  });

  // c0843d is 1,000,000 as a signed run length.
  const million = 'c0843d';
  test.each([
    ['action', oneSet({ 0x42: `${million}01` }), 'change-too-many-ops'],
    [
      'action, every column',
      oneSet({
        0x15: `${million}0178`,
        0x34: million,
        0x42: `${million}01`,
        0x56: `${million}00`,
        0x57: '',
        0x70: `${million}00`,
      }),
      'change-too-many-ops',
    ],
    [
      'predecessors',
      oneSet({ 0x70: `7f${million}`, 0x71: `${million}00`, 0x73: `${million}01` }),
      'change-too-many-ops',
    ],
    ['key', oneSet({ 0x15: `${million}0178` }), 'change-malformed'],
    ['insert', oneSet({ 0x34: million }), 'change-malformed'],
    ['value meta', oneSet({ 0x56: `${million}14` }), 'change-malformed'],
    ['group', oneSet({ 0x70: `${million}00` }), 'change-malformed'],
    ['pred actor', oneSet({ 0x70: '7f01', 0x71: `${million}00`, 0x73: '7f01' }), 'change-malformed'],
    ['pred counter', oneSet({ 0x70: '7f01', 0x71: '7f00', 0x73: `${million}01` }), 'change-malformed'],
  ])('a run of a million in %s costs nothing', (_, bytes, code) => {
    codeOf(() => decodeChange(bytes)); // the first call compiles
    const begun = process.threadCpuUsage();
    expect(codeOf(() => decodeChange(bytes))).toBe(code);
    const { user, system } = process.threadCpuUsage(begun);
    expect((user + system) / 1000).toBeLessThan(5);
  });
});

describe('refusals', () => {
  test('the template the vectors are made from is itself accepted', () => {
    expect(decodeChange(oneSet()).ops).toEqual([{ action: 'set', field: 'x', value: 1, pred: [] }]);
  });

  const good = encodeChange({ ...BASE, ops: [{ action: 'set', field: 'x', value: 1, pred: [] }] });
  const bodyOf = (bytes: Uint8Array): string => Buffer.from(bytes.subarray(10)).toString('hex');
  test.each([
    ['no bytes', new Uint8Array(), 'change-malformed'],
    ['another magic', sealed(good.with(0, 0)), 'change-malformed'],
    ['a length too short', sealed(good.with(9, 3)), 'change-malformed'],
    ['a byte behind the chunk', sealed(Buffer.concat([good, Buffer.of(0)])), 'change-malformed'],
    ['text that is not UTF-8', oneSet({ 0x15: '7f01ff' }), 'change-malformed'],
    ['a surrogate in UTF-8', oneSet({ 0x56: '7f36', 0x57: 'eda080' }), 'change-malformed'],
    [
      'columns out of order',
      chunkOfColumns([
        [0x34, '01'],
        [0x15, '7f0178'],
      ]),
      'change-malformed',
    ],
    ['columns of different length', oneSet({ 0x15: '020178' }), 'change-malformed'],
    ['a value without its bytes', oneSet({ 0x57: '' }), 'change-malformed'],
    ['bytes without a value', oneSet({ 0x57: '0101' }), 'change-malformed'],
    ['seq 0', chunkOf(`0010${ACTOR}000105000000`), 'change-malformed'],
    ['startOp 0', chunkOf(`0010${ACTOR}010005000000`), 'change-malformed'],
    ['startOp 2^31', chunkOf(`0010${ACTOR}01808080800805000000`), 'change-malformed'],
    ['a compressed chunk', chunkOf(bodyOf(good), 2), 'change-compressed'],
    ['a compressed column', oneSet({ 0x1d: '00' }), 'change-compressed'],
    ['a wrong checksum', good.with(4, (good[4] ?? 0) ^ 1), 'change-checksum'],
    ['another byte under the old checksum', good.with(good.length - 1, 1), 'change-checksum'],
    ['an integer written too long', chunkOf(`0010${ACTOR}81000105000000`), 'change-not-canonical'],
    ['a negative integer written too long', chunkOf(`0010${ACTOR}0101fb7f000000`), 'change-not-canonical'],
    [
      'a literal run of equal values',
      oneSet({ 0x15: '020178', 0x34: '02', 0x42: '7e0101', 0x56: '0214', 0x57: '0102', 0x70: '0200' }),
      'change-not-canonical',
    ],
    ['an empty column', oneSet({ 0x71: '' }), 'change-not-canonical'],
    [
      'an actor in the table that no pred names',
      chunkOf(`0010${ACTOR}010105000110${OTHER}00`),
      'change-not-canonical',
    ],
    [
      'deps out of order',
      chunkOf(`02${'ff'.repeat(32)}${'00'.repeat(32)}10${ACTOR}010105000000`),
      'change-not-canonical',
    ],
    ['a whole float', oneSet({ 0x56: '7f8501', 0x57: '000000000000f03f' }), 'change-not-canonical'],
    ['minus zero', oneSet({ 0x56: '7f8501', 0x57: '0000000000000080' }), 'change-not-canonical'],
    ['NaN', oneSet({ 0x56: '7f8501', 0x57: '000000000000f87f' }), 'change-unsupported'],
    ['infinity', oneSet({ 0x56: '7f8501', 0x57: '000000000000f07f' }), 'change-unsupported'],
    ['an unsafe integer', oneSet({ 0x56: '7f8401', 0x57: '8080808080808010' }), 'change-unsupported'],
    ['a uint', oneSet({ 0x56: '7f13' }), 'change-unsupported'],
    ['bytes', oneSet({ 0x56: '7f17' }), 'change-unsupported'],
    ['a counter', oneSet({ 0x56: '7f18' }), 'change-unsupported'],
    ['a timestamp', oneSet({ 0x56: '7f19' }), 'change-unsupported'],
    ['an increment', oneSet({ 0x42: '7f05' }), 'change-unsupported'],
    ['a new map', oneSet({ 0x42: '7f00', 0x56: '7f00', 0x57: '' }), 'change-unsupported'],
    ['a deletion with a value', oneSet({ 0x42: '7f03' }), 'change-unsupported'],
    ['an insertion', oneSet({ 0x34: '0001' }), 'change-unsupported'],
    ['an operation outside the root', oneSet({ 0x01: '7f00', 0x02: '7f01' }), 'change-unsupported'],
    ['a null key', oneSet({ 0x15: '0001' }), 'change-unsupported'],
    ['a message', chunkOf(`0010${ACTOR}010105026869000000`), 'change-unsupported'],
    ['extra bytes', chunkOf(`0010${ACTOR}01010500000001`), 'change-unsupported'],
    ['a document chunk', chunkOf(bodyOf(good), 0), 'change-unsupported'],
    ['a short actor', chunkOf('0001aa010105000000'), 'change-unsupported'],
    ['257 operations', oneSet({ 0x42: '810201' }), 'change-too-many-ops'],
    ['a chunk over 64 KiB', new Uint8Array(65_537), 'change-too-large'],
  ])('%s', (_, bytes, code) => {
    expect(codeOf(() => decodeChange(bytes))).toBe(code);
  });

  const set = (value: Scalar, ids: readonly OpId[] = []): Change => ({
    ...BASE,
    ops: [{ action: 'set', field: 'x', value, pred: ids }],
  });
  test.each([
    ['a lone surrogate', set('\ud800'), 'change-malformed'],
    ['NaN', set(Number.NaN), 'change-unsupported'],
    ['minus zero', set(-0), 'change-unsupported'],
    [
      'a pred twice',
      set(1, [
        { counter: 3, actor: OTHER },
        { counter: 3, actor: OTHER },
      ]),
      'change-malformed',
    ],
    ['a pred at 0', set(1, [{ counter: 0, actor: OTHER }]), 'change-malformed'],
    ['an upper-case actor', { ...BASE, actor: 'AA'.repeat(16) }, 'change-malformed'],
    ['a dep that is no hash', { ...BASE, deps: ['00'] }, 'change-malformed'],
    ['a fractional time', { ...BASE, time: 1.5 }, 'change-malformed'],
    [
      'a deletion with a value',
      { ...BASE, ops: [{ action: 'del', field: 'x', value: 1, pred: [] }] },
      'change-malformed',
    ],
    ['a set without one', { ...BASE, ops: [{ action: 'set', field: 'x', pred: [] }] }, 'change-malformed'],
    [
      '257 operations',
      { ...BASE, ops: Array.from({ length: 257 }, () => ({ action: 'del', field: 'x', pred: [] })) },
      'change-too-many-ops',
    ],
    ['text over 64 KiB', set('x'.repeat(65_536)), 'change-too-large'],
    ['wide text over 64 KiB', set('蟹'.repeat(65_536)), 'change-too-large'],
  ] satisfies [string, Change, string][])('the encoder refuses %s', (_, change, code) => {
    expect(codeOf(() => encodeChange(change))).toBe(code);
  });

  test('the largest text that fits is accepted', () => {
    const change = set('x'.repeat(65_465));
    const bytes = encodeChange(change);
    expect(decodeChange(bytes)).toMatchObject(change);
    expect(bytes).toEqual(Automerge.encodeChange(toAutomerge(change)));
  });
});

describe('every integer at its bounds', () => {
  const hashOf = (i: number): string => i.toString(16).padStart(64, '0');
  const dels = (count: number, preds: number): FieldOp[] =>
    Array.from({ length: count }, (_, i) => ({
      action: 'del' as const,
      field: `f${i}`,
      pred: Array.from({ length: preds }, (_, n) => ({ counter: 1 + n, actor: OTHER })),
    }));
  const LAST = 2 ** 31 - 1;
  const SAFE = Number.MAX_SAFE_INTEGER;
  const one: FieldOp = { action: 'set', field: 'x', value: 1, pred: [] };
  const pred = (counter: number): FieldOp => ({ ...one, pred: [{ counter, actor: OTHER }] });

  test.each([
    ['seq', { seq: 1 }],
    ['seq', { seq: LAST }],
    ['startOp', { startOp: 1 }],
    ['startOp', { startOp: LAST }],
    ['the counter of the last op', { startOp: LAST, ops: [one] }],
    ['time', { time: -SAFE }],
    ['time', { time: SAFE }],
    ['deps', { deps: Array.from({ length: 256 }, (_, i) => hashOf(i)) }],
    ['ops', { ops: dels(256, 0) }],
    ['predecessors', { ops: dels(256, 16) }],
    ['a predecessor', { ops: [pred(1)] }],
    ['a predecessor', { ops: [pred(LAST)] }],
    ['an int', { ops: [{ ...one, value: SAFE }] }],
    ['an int', { ops: [{ ...one, value: -SAFE }] }],
  ] satisfies [string, Partial<Change>][])('%s is read as it was written', (_, part) => {
    const change = { ...BASE, ...part };
    expect(decodeChange(encodeChange(change))).toMatchObject(change);
  });

  test.each([
    ['seq', { seq: 0 }],
    ['seq', { seq: LAST + 1 }],
    ['startOp', { startOp: 0 }],
    ['startOp', { startOp: LAST + 1 }],
    ['the counter of the last op', { startOp: LAST, ops: [one, { ...one, field: 'y' }] }],
    ['time', { time: -SAFE - 1 }],
    ['time', { time: SAFE + 1 }],
    ['deps', { deps: Array.from({ length: 257 }, (_, i) => hashOf(i)) }],
    ['ops', { ops: dels(257, 0) }],
    ['predecessors', { ops: [...dels(240, 17), ...dels(1, 17)] }],
    ['a predecessor', { ops: [pred(0)] }],
    ['a predecessor', { ops: [pred(LAST + 1)] }],
  ] satisfies [string, Partial<Change>][])('%s has no encoding', (_, part) => {
    expect(codeOf(() => encodeChange({ ...BASE, ...part }))).toMatch(/^change-/);
  });

  // By hand, because the encoder does not write them. 8080808008 is 2^31,
  const body = (seq: string, startOp: string, time: string, rest = '000000'): Uint8Array =>
    chunkOf(`0010${ACTOR}${seq}${startOp}${time}${rest}`);
  test.each([
    ['seq at the bound', body('ffffffff07', '01', '00'), 'accepted'],
    ['seq 2^31', body('8080808008', '01', '00'), 'change-malformed'],
    ['startOp at the bound', body('01', 'ffffffff07', '00'), 'accepted'],
    ['startOp 2^31', body('01', '8080808008', '00'), 'change-malformed'],
    ['time at the bound', body('01', '01', 'ffffffffffffff0f'), 'accepted'],
    ['time 2^53', body('01', '01', '8080808080808010'), 'change-unsupported'],
    ['257 deps, of which none follows', chunkOf(`8102`), 'change-too-large'],
    ['2^53 - 1 deps', chunkOf(`ffffffffffffff0f`), 'change-too-large'],
    ['4,097 other actors', body('01', '01', '00', '00812000'), 'change-malformed'],
    ['nine columns', body('01', '01', '00', '000009150134014201'), 'change-malformed'],
    [
      'a predecessor beyond the actors',
      oneSet({ 0x70: '7f01', 0x71: '7f01', 0x73: '7f01' }),
      'change-malformed',
    ],
    [
      'a predecessor at 2^31',
      oneSet({ 0x70: '7f01', 0x71: '7f00', 0x73: '7f8080808008' }),
      'change-unsupported',
    ],
    ['a value longer than its column', oneSet({ 0x56: '7f26', 0x57: '61' }), 'change-malformed'],
    ['a field name longer than its column', oneSet({ 0x15: '7f0278' }), 'change-malformed'],
    ['true with a byte', oneSet({ 0x56: '7f12' }), 'change-malformed'],
    ['a float of seven bytes', oneSet({ 0x56: '7f75', 0x57: '00'.repeat(7) }), 'change-malformed'],
  ])('%s', (_, bytes, code) => {
    expect(codeOf(() => decodeChange(bytes))).toBe(code);
  });
});
