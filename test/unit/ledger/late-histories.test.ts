import { expect, it, vi } from 'vitest';
import { encodeOp } from '../../../protocols/feed/op.ts';
import { placedOps } from '../../../protocols/ledger/placed-ops.ts';
import { RecordOps } from '../../../protocols/ledger/record-ops.ts';
import { encodeChange, type FieldOp, type OpId } from '../../../protocols/open-dialog/change.ts';
import { COLLECTIONS } from '../../../protocols/open-dialog/schema.ts';
import { genesisOf } from '../../../protocols/open-dialog/genesis.ts';
import { actorOf } from '../../../protocols/open-dialog/read-op.ts';
import type { PlacedOp, Verdict } from '../../../protocols/open-dialog/record.ts';
import { sha256Hex } from '../../../protocols/wire/bytes.ts';
import { recordKey } from '../../../protocols/wire/ids.ts';
import { evaluateWhole } from '../../support/evaluate-whole.ts';
import { Hand, openLedger, type Random, randomFrom } from '../../support/forge.ts';
import { tempDir } from '../../support/temp-dir.ts';
import { nodeOf } from '../../support/vectors/signatures.ts';

const COUNT = Number(process.env.COUNT ?? 20);
const SEED = Number(process.env.SEED ?? Math.floor(Math.random() * 1_000_000));
const CHANGES = 40;
const owner = nodeOf(1);
const FIELDS = ['title', 'notes', 'price'] as const;
const genesis = genesisOf(COLLECTIONS['listings'] ?? fail());

function fail(): never {
  throw new TypeError('no listings');
}

interface Made {
  readonly hash: string;
  readonly actor: string;
  readonly seq: number;
  readonly startOp: number;
  readonly ops: readonly FieldOp[];
  /** Indexes of what it has seen, itself included. */
  readonly seen: ReadonlySet<number>;
}

/** A listing's changes as anybody could sign them: mostly right, upon any part of the history, and often wrong in one thing. */
class Forger {
  readonly #random: Random;
  readonly key = recordKey('listings', owner.peerId, 'x');
  readonly made: Made[] = [];
  readonly #hands = ['a', 'b', 'c', 'd'].map((each) => new Hand(owner, each.repeat(16)));

  constructor(random: Random) {
    this.#random = random;
  }

  next(): { readonly hand: Hand; readonly bytes: Uint8Array } {
    const hand = this.made.length === 0 ? this.#hands[0] : this.#random.pick(this.#hands);
    if (hand === undefined) return fail();
    const actor = actorOf(owner.peerId, hand.epoch, this.key);
    const own = this.made.findLastIndex((each) => each.actor === actor);
    const seen = this.#past(own);
    const deps = this.#headsOf(seen);
    const largest = Math.max(genesis.maxOp, ...[...seen].map((at) => lastOp(this.made[at] ?? fail())));
    const wrong = this.#random.int(12);
    const change = {
      actor,
      seq: (this.made[own]?.seq ?? 0) + (wrong === 0 && this.made.length > 0 ? 1 : 0) + 1,
      startOp: largest + 1 + (wrong === 1 ? 1 : 0),
      time: 0,
      deps: deps.length === 0 ? [genesis.hash] : deps,
      ops: this.made.length === 0 ? create() : this.#ops(actor, seen, wrong),
    };
    const d = encodeChange(change);
    const t = deps.length === 0 ? 'create' : 'delta';
    const { actor: _, ...rest } = change;
    const at = this.made.length;
    this.made.push({ ...rest, actor, hash: sha256Hex(d.subarray(8)), seen: new Set([...seen, at]) });
    return { hand, bytes: encodeOp({ v: 1, c: 'listings', k: `${owner.peerId}/x`, t, d }) };
  }

  /** It has been rejected: nobody builds on it. */
  drop(): void {
    this.made.pop();
  }

  /** What the next change of an epoch has seen: mostly all, else a part that its own last one is in, now and then not even that. */
  #past(own: number): Set<number> {
    const seen = new Set<number>();
    const roll = this.#random.int(10);
    const tips = roll < 3 ? this.made.map((_, at) => at) : [this.#random.int(Math.max(1, this.made.length))];
    if (own >= 0 && roll !== 3) tips.push(own);
    if (this.made.length > 0 && roll > 6) tips.push(this.made.length - 1);
    for (const tip of tips) for (const at of this.made[tip]?.seen ?? []) seen.add(at);
    return seen;
  }

  #headsOf(seen: ReadonlySet<number>): string[] {
    const below = new Set<number>();
    for (const at of seen) for (const each of this.made[at]?.seen ?? []) if (each !== at) below.add(each);
    return [...seen]
      .filter((at) => !below.has(at))
      .map((at) => this.made[at]?.hash ?? fail())
      .sort();
  }

  #ops(actor: string, seen: ReadonlySet<number>, wrong: number): FieldOp[] {
    const fields = FIELDS.filter(() => this.#random.int(2) === 0);
    return fields.map((field): FieldOp => {
      const all = this.made.flatMap(({ ops, startOp, actor: by }, at) =>
        ops.flatMap((op, i) =>
          op.field === field ? [{ op, at, id: { counter: startOp + i, actor: by } }] : [],
        ),
      );
      const known = all.filter(({ at }) => seen.has(at));
      const replaced = new Set(known.flatMap(({ op }) => op.pred.map(idText)));
      const visible = known.filter(({ op, id }) => op.action === 'set' && !replaced.has(idText(id)));
      let pred = visible.map(({ id }) => id);
      if (wrong === 2) pred = pred.slice(1);
      if (wrong === 3) pred = pred.filter((id) => id.actor !== actor);
      // Of what it has not seen, or what was replaced long ago, or of another field.
      if (wrong === 4 || wrong === 5)
        pred = [...pred, ...all.slice(-1 - this.#random.int(3)).map(({ id }) => id)];
      if (wrong === 6) pred = [...pred, ...known.slice(0, 1).map(({ id }) => id)];
      if (wrong === 7)
        pred = [...pred, { counter: 2 + this.#random.int(4), actor: this.made[0]?.actor ?? actor }];
      const distinct = [...new Map(pred.map((id) => [idText(id), id])).values()].sort(
        (a, b) => a.counter - b.counter || (a.actor < b.actor ? -1 : 1),
      );
      if (field !== 'price' && this.#random.int(6) === 0) return { action: 'del', field, pred: distinct };
      const value = field === 'price' ? this.#random.int(9) : `v${this.#random.int(9)}`;
      return { action: 'set', field, value, pred: distinct };
    });
  }
}

const idText = ({ counter, actor }: OpId): string => `${counter}@${actor}`;
const lastOp = ({ startOp, ops }: Made): number => startOp + ops.length - 1;
const create = (): FieldOp[] =>
  Object.entries({ type: 'offer', status: 'active', title: 'Maize', price: 1 }).map(([field, value]) => ({
    action: 'set',
    field,
    value,
    pred: [],
  }));

it('whatever is late, and wrong in whatever way, has the verdict and gives the state of a full evaluation', async () => {
  const told: Record<string, number> = {};
  const whole = vi.spyOn(RecordOps.prototype, 'of');
  for (let i = 0; i < COUNT; i++) {
    const folder = tempDir('late-histories');
    const node = await openLedger(folder.path, nodeOf(2), Date.now, { wholeOps: 0 });
    node.followStates.set(owner.peerId, 'followed');
    const forger = new Forger(randomFrom(SEED + i));
    const ops: PlacedOp[] = [];
    for (let n = 0; n < CHANGES; n++) {
      const at = `COUNT=1 SEED=${SEED + i}, change ${n}`;
      const { hand, bytes } = forger.next();
      const entry = hand.next([bytes]);
      ops.push(...placedOps(entry));
      expect((await node.ledger.receive([entry.bytes]))[0]?.kind).toBe('accept');
      const verdict = node.verdicts().at(-1)?.verdict;
      const expected = evaluateWhole(forger.key, ops, undefined);
      expect(verdict, at).toEqual(expected.verdicts.at(-1));
      expect((await node.store.records([forger.key]))[0], at).toEqual(expected.state);
      if (verdict?.state !== 'applied') forger.drop();
      told[codeOf(verdict)] = (told[codeOf(verdict)] ?? 0) + 1;
    }
    await node.close();
    folder.remove();
  }
  console.info(
    `${COUNT} histories from seed ${SEED}: ${JSON.stringify({ ...told, whole: whole.mock.calls.length })}`,
  );
  const all = [
    'applied',
    'seq-wrong',
    'seq-not-ancestor',
    'start-op-wrong',
    'pred-wrong',
    'pred-own-missing',
  ];
  for (const what of all) expect(told[what], what).toBeGreaterThan(0);
  // Most are told without the others, though nearly each history is wrong somewhere.
  expect(whole.mock.calls.length).toBeGreaterThan(0);
  expect(whole.mock.calls.length).toBeLessThan((COUNT * CHANGES) / 2);
}, 240_000);

function codeOf(verdict: Verdict | undefined): string {
  return verdict === undefined || verdict.state === 'applied' ? 'applied' : verdict.code;
}
