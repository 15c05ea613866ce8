import { expect, it } from 'vitest';
import { decodeChange, encodeChange, type FieldOp } from '../../../protocols/open-dialog/change.ts';
import { Clocks, isSeen } from '../../../protocols/open-dialog/clocks.ts';
import { genesisOf } from '../../../protocols/open-dialog/genesis.ts';
import { firstInPieces, hashInPieces, sortedInPieces } from '../../../protocols/open-dialog/pieces.ts';
import { actorOf } from '../../../protocols/open-dialog/read-op.ts';
import type { PlacedOp } from '../../../protocols/open-dialog/record.ts';
import { evaluate, runAll } from '../../../protocols/open-dialog/rule.ts';
import { encodeOp } from '../../../protocols/feed/op.ts';
import { collectionNamed } from '../../../protocols/ledger/drafts.ts';
import { sha256Hex } from '../../../protocols/wire/bytes.ts';
import type { RecordKey } from '../../../protocols/wire/ids.ts';
import { randomFrom } from '../../support/forge.ts';
import { nodeOf } from '../../support/vectors/signatures.ts';

const seed = Number(process.env['SEED'] ?? 1);

it(`what is seen does not depend on which clocks are kept, SEED=${seed}`, () => {
  const random = randomFrom(seed);
  for (const most of [0, 3000, 1_000_000]) {
    const changes: { place: number; seq: number; follows: number[] }[] = [];
    const clocks = new Clocks(
      {
        place: (change) => changes[change]?.place ?? 0,
        seq: (change) => changes[change]?.seq ?? 0,
        follows: (change) => changes[change]?.follows ?? [],
      },
      most,
    );
    const last = new Map<string, number>();
    const ancestors: Set<number>[] = [];
    for (let i = 0; i < 200; i++) {
      const actor = `actor ${random.int(30)}`;
      const own = last.get(actor);
      const some =
        changes.length === 0 ? [] : Array.from({ length: random.int(4) }, () => random.int(changes.length));
      const follows = [...(own === undefined ? [] : [own]), ...some];
      const seen = runAll(clocks.seenBy(follows));
      const real = new Set(follows.flatMap((each) => [each, ...(ancestors[each] ?? [])]));
      for (const [each, { place, seq }] of changes.entries())
        expect(isSeen(seen, place, seq)).toBe(real.has(each));
      const seq = (own === undefined ? 0 : (changes[own]?.seq ?? 0)) + 1;
      changes.push({ place: clocks.placed(actor), seq, follows });
      clocks.keep(i, seen);
      last.set(actor, i);
      ancestors.push(real);
    }
  }
});

it('ten thousand epochs that write one after another, and one beside them, take memory in proportion', () => {
  const EPOCHS = 10_000;
  const author = nodeOf(1).peerId;
  const key = `listings/${author}/long` as RecordKey;
  const genesis = genesisOf(collectionNamed('listings'));
  const ops: PlacedOp[] = [];
  const put = (epoch: string, startOp: number, dep: string, fields: FieldOp[]): string => {
    const actor = actorOf(author, epoch, key);
    const d = encodeChange({ actor, seq: 1, startOp, time: 0, deps: [dep], ops: fields });
    const t = dep === genesis.hash ? 'create' : 'delta';
    const bytes = encodeOp({ v: 1, c: 'listings', k: `${author}/long`, t, d });
    ops.push({ author, channel: 'public', epoch, seq: 1, index: 0, bytes, time: [1, 0] });
    return decodeChange(d).hash;
  };
  const set = (field: string, value: string): FieldOp => ({ action: 'set', field, value, pred: [] });
  const start = genesis.maxOp + 1;
  const created = put('f'.repeat(16), start, genesis.hash, [set('type', 'offer'), set('status', 'active')]);
  let at = created;
  for (let i = 0; i < EPOCHS; i++) at = put(i.toString(16).padStart(16, '0'), start + 2, at, []);
  put('e'.repeat(16), start + 2, created, [set('notes', 'beside')]);
  const held = (): number => {
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    return heapUsed + arrayBuffers;
  };
  const before = held();
  let [most, steps] = [0, 0];
  const work = evaluate(key, ops, undefined);
  for (let step = work.next(); ; step = work.next()) {
    if (++steps % 1000 === 0) most = Math.max(most, held() - before);
    if (step.done !== true) continue;
    expect(step.value.verdicts.every(({ state }) => state === 'applied')).toBe(true);
    expect(step.value.outline.heads).toHaveLength(2);
    break;
  }
  // What each of them has seen, written out, would be fifty million entries.
  console.info(`at most ${Math.round(most / 1024 / 1024)} MiB`);
  expect(most).toBeLessThan(400 * 1024 * 1024);
}, 60_000);

it('work in pieces gives what it gives at once', () => {
  const random = randomFrom(seed);
  for (const count of [0, 1, 2047, 2048, 2049, 9000]) {
    const texts = Array.from({ length: count }, () => random.hex(8));
    const sorted = [...texts].sort();
    expect(runAll(sortedInPieces(texts))).toEqual(sorted);
    expect(runAll(hashInPieces(sorted))).toBe(sha256Hex(sorted.join()));
    expect(runAll(firstInPieces(texts, 16, (a, b) => (a < b ? -1 : 1)))).toEqual(sorted.slice(0, 16));
  }
});
