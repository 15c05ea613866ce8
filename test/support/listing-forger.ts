import { encodeOp } from '../../protocols/feed/op.ts';
import { encodeChange, type FieldOp, type OpId } from '../../protocols/open-dialog/change.ts';
import { genesisOf } from '../../protocols/open-dialog/genesis.ts';
import { actorOf } from '../../protocols/open-dialog/read-op.ts';
import { COLLECTIONS } from '../../protocols/open-dialog/schema.ts';
import { sha256Hex } from '../../protocols/wire/bytes.ts';
import { recordKey } from '../../protocols/wire/ids.ts';
import { Hand, type Random } from './forge.ts';
import { nodeOf } from './vectors/signatures.ts';

const owner = nodeOf(1);
const FIELDS = ['title', 'notes', 'price'] as const;

function fail(): never {
  throw new TypeError('no listings');
}

export const LISTINGS = COLLECTIONS['listings'] ?? fail();
const genesis = genesisOf(LISTINGS);

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
export class ListingForger {
  readonly #random: Random;
  readonly key = recordKey('listings', owner.peerId, 'x');
  readonly made: Made[] = [];
  /** What nobody builds on, and feeds in which a change waits: all behind it would. */
  readonly #lost = new Set<number>();
  readonly #stuck = new Set<string>();
  readonly #hands = ['a', 'b', 'c', 'd'].map((each) => new Hand(owner, each.repeat(16)));

  constructor(random: Random) {
    this.#random = random;
  }

  /** Whether a feed is left whose changes can count. */
  get isOver(): boolean {
    return this.#going().length === 0;
  }

  next(): { readonly hand: Hand; readonly bytes: Uint8Array } {
    const hand = this.made.length === 0 ? this.#hands[0] : this.#random.pick(this.#going());
    if (hand === undefined) return fail();
    const actor = actorOf(owner.peerId, hand.epoch, this.key);
    const own = this.made.findLastIndex((each, at) => each.actor === actor && !this.#lost.has(at));
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
      ops: seen.size === 0 ? create() : this.#ops(actor, seen, wrong),
    };
    const d = encodeChange(change);
    const t = deps.length === 0 ? 'create' : 'delta';
    const { actor: _, ...rest } = change;
    const at = this.made.length;
    this.made.push({ ...rest, actor, hash: sha256Hex(d.subarray(8)), seen: new Set([...seen, at]) });
    return { hand, bytes: encodeOp({ v: 1, c: 'listings', k: `${owner.peerId}/x`, t, d }) };
  }

  /** The last one has been rejected: nobody builds on it. */
  drop(): void {
    this.made.pop();
  }

  /** This one, and all that has seen it, is built on by nobody; where it waits, its feed is at its end. */
  lose(at: number, waits: boolean, hand: Hand): void {
    for (const [other, { seen }] of this.made.entries()) if (seen.has(at)) this.#lost.add(other);
    if (waits) this.#stuck.add(hand.epoch);
  }

  #going(): Hand[] {
    return this.#hands.filter(({ epoch }) => !this.#stuck.has(epoch));
  }

  /** What the next change of an epoch has seen: mostly all, else a part that its own last one is in, now and then not even that. */
  #past(own: number): Set<number> {
    const seen = new Set<number>();
    const roll = this.#random.int(10);
    const tips = roll < 3 ? this.made.map((_, at) => at) : [this.#random.int(Math.max(1, this.made.length))];
    if (own >= 0 && roll !== 3) tips.push(own);
    if (this.made.length > 0 && roll > 6) tips.push(this.made.length - 1);
    for (const tip of tips.filter((at) => !this.#lost.has(at)))
      for (const at of this.made[tip]?.seen ?? []) seen.add(at);
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
