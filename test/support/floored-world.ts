import { decodeOp, encodeOp } from '../../protocols/feed/op.ts';
import {
  draftEdit,
  draftErasure,
  draftTombstone,
  type Patch,
  type Writer,
} from '../../protocols/ledger/drafts.ts';
import { type Change, decodeChange, encodeChange } from '../../protocols/open-dialog/change.ts';
import type { Floor } from '../../protocols/open-dialog/floor.ts';
import { readOp } from '../../protocols/open-dialog/read-op.ts';
import type { PlacedOp, RecordState } from '../../protocols/open-dialog/record.ts';
import { evaluate, type Evaluation, runAll } from '../../protocols/open-dialog/rule.ts';
import { withValues } from '../../protocols/open-dialog/values.ts';
import { recordKey } from '../../protocols/wire/ids.ts';
import { nodeOf } from './vectors/signatures.ts';

const owner = nodeOf(1);

/** What a checkpoint says of the record, and how far it covers each epoch. */
export interface Made {
  readonly floor: Floor | undefined;
  readonly covers: ReadonlyMap<string, number>;
}

interface Pen {
  writer: Writer;
  seq: number;
  readonly seen: Set<PlacedOp>;
  made: Made;
}

export const NOTHING_MADE: Made = { floor: undefined, covers: new Map() };

/** Whether a checkpoint covers an op that has no effect of its own then. */
export function isCovered(op: PlacedOp, { covers }: Made): boolean {
  const read = readOp(op);
  return isBelow(op, covers) && !('problem' in read) && read.reading.kind === 'change';
}

export function isBelow({ epoch, seq }: PlacedOp, covers: Made['covers']): boolean {
  return seq <= (covers.get(epoch) ?? 0);
}

/** A listing that several processes with one key write at once, of which some have heard of a checkpoint and some have not. */
export class FlooredWorld {
  readonly key = recordKey('listings', owner.peerId, 'x');
  readonly ops: PlacedOp[] = [];
  /** The checkpoints, each made upon the one before. */
  readonly made: Made[] = [];
  /** Ops that were changed after they were drafted. */
  spoiled = 0;
  readonly #random: () => number;
  readonly #pens: Pen[] = [];
  readonly #spoils: boolean;
  readonly #ends: boolean;
  #epochs = 0;

  /** `spoils`: some ops are wrong in one thing. `ends`: there may be tombstones and erasures. */
  constructor(random: () => number, { spoils, ends }: { readonly spoils: boolean; readonly ends: boolean }) {
    this.#random = random;
    this.#spoils = spoils;
    this.#ends = ends;
    const pens = 1 + this.#int(4);
    for (let i = 0; i < pens; i++)
      this.#pens.push({ writer: this.#writer(), seq: 0, seen: new Set(), made: NOTHING_MADE });
  }

  get last(): Made {
    return this.made.at(-1) ?? NOTHING_MADE;
  }

  /** For `actor` it tells what its next change follows and names. */
  evaluate(ops: Iterable<PlacedOp>, { floor }: Made, actor?: string): Evaluation {
    return runAll(evaluate(this.key, [...ops], undefined, { actor, floor, merged: 0, tellsFloor: true }));
  }

  /** `share`: how much of what it has not seen a pen sees before it writes. */
  step(share: number): void {
    const pen = this.#pens[this.#int(this.#pens.length)];
    if (pen === undefined) return;
    for (const op of this.ops) if (this.#random() < share) pen.seen.add(op);
    if (pen.made !== this.last && this.#random() < 0.5) {
      // As a node does: it goes on in a new epoch.
      Object.assign(pen, { made: this.last, writer: this.#writer(), seq: 0 });
    }
    const effective = [...pen.seen].filter((op) => !isCovered(op, pen.made));
    const { outline, values } = this.evaluate(effective, pen.made);
    for (const bytes of this.#draft(
      pen.writer,
      values === undefined ? outline : withValues(outline, values),
    )) {
      const { author, epoch } = pen.writer;
      const time = [1000 + this.#int(50), 0] as const;
      const op: PlacedOp = { author, channel: 'public', epoch, seq: ++pen.seq, index: 0, bytes, time };
      this.ops.push(op);
      pen.seen.add(op);
    }
  }

  /** Of what some pen has seen without gaps, but for the newest, unless something of it would be pending. */
  checkpoint(lag: number): boolean {
    const pen = this.#pens[this.#int(this.#pens.length)];
    if (pen === undefined) return false;
    const covers = new Map(this.last.covers);
    const some = this.ops.slice(0, Math.max(0, this.ops.length - lag));
    for (const [epoch, feed] of Map.groupBy(some, (op) => op.epoch)) {
      const end = feed.findIndex((op) => !pen.seen.has(op));
      const most = end < 0 ? feed.length : end;
      covers.set(epoch, Math.max(covers.get(epoch) ?? 0, most));
    }
    const before = this.last;
    const below = this.ops.filter((op) => isBelow(op, covers) && !isCovered(op, before));
    if (below.length === 0) return false;
    const { floor, outline } = this.evaluate(below, before);
    // What waits upon a floor may wait for good.
    if (typeof floor === 'string' || (before.floor === undefined && outline.pending > 0)) return false;
    this.made.push({ floor, covers });
    return true;
  }

  /** A change upon the floor, in a new epoch, and one upon that in another whose first op is no higher than the floor's. */
  crossed(made: Made, first: number, second: number): readonly [above: PlacedOp, below: PlacedOp] {
    const [one, other] = [first, second].map((n) => ({
      author: owner.peerId,
      epoch: `f${n}`.padEnd(16, '0'),
    }));
    if (one === undefined || other === undefined) throw new TypeError('two epochs');
    const draft = (writer: Writer, known: readonly PlacedOp[], title: string): Uint8Array => {
      const { outline, values } = this.evaluate(known, made);
      const state = values === undefined ? outline : withValues(outline, values);
      const [bytes] = draftEdit(writer, this.key, 'public', state, { title }).ops;
      return bytes ?? new Uint8Array();
    };
    const at = { channel: 'public', seq: 1, index: 0, time: [2000, 0] } as const;
    const above: PlacedOp = { ...at, ...one, bytes: draft(one, [], 'above') };
    const op = decodeOp(draft(other, [above], 'below'));
    if (op === undefined) throw new TypeError('an edit');
    const { hash: _, ...change } = decodeChange(op.d);
    const d = encodeChange({ ...change, startOp: 2 });
    return [above, { ...at, ...other, bytes: encodeOp({ ...op, d }) }];
  }

  #int(below: number): number {
    return Math.floor(this.#random() * below);
  }

  #writer(): Writer {
    return { author: owner.peerId, epoch: (++this.#epochs).toString(16).padStart(16, '0') };
  }

  #draft(writer: Writer, state: RecordState): readonly Uint8Array[] {
    const roll = this.#random();
    if (this.#ends && this.ops.length > 3 && roll < 0.06) return draftTombstone(this.key, 'public').ops;
    if (this.#ends && this.ops.length > 3 && roll < 0.08) return this.#erasure();
    if (state.tombstone || state.erased === true) return [];
    const patch: Record<string, Patch[string]> = {};
    if (!state.exists) Object.assign(patch, { type: 'offer', status: 'active' });
    for (const field of ['title', 'unit', 'commodity', 'notes'])
      if (this.#random() < 0.4) patch[field] = this.#random() < 0.2 ? undefined : `v${this.#int(6)}`;
    const { ops } = draftEdit(writer, this.key, 'public', state, patch);
    return this.#spoils && this.#random() < 0.15 ? ops.map((bytes) => this.#spoil(bytes)) : ops;
  }

  #erasure(): readonly Uint8Array[] {
    const ops = [{ index: 0, hash: '0'.repeat(64) }];
    const place = { channel: 'public', epoch: '00000000000000ee', seq: 1 } as const;
    return draftErasure(owner, 'public', [{ ...place, record: this.key, ops, time: 1 }]).ops;
  }

  /** The op with one thing of its change made wrong. */
  #spoil(bytes: Uint8Array): Uint8Array {
    const op = decodeOp(bytes);
    if (op === undefined) return bytes;
    const { hash: _, ...change } = decodeChange(op.d);
    const all = this.ops.flatMap((each) => {
      const read = readOp(each);
      return 'problem' in read || read.reading.kind !== 'change' ? [] : [read.reading.change];
    });
    const [some] = all.slice(this.#int(all.length));
    this.spoiled++;
    return encodeOp({ ...op, d: encodeChange(this.#wrong(change, some)) });
  }

  #wrong(change: Change, other: (Change & { readonly hash: string }) | undefined): Change {
    const [first, ...rest] = change.ops;
    const deps = other === undefined ? change.deps : [...new Set([...change.deps, other.hash])].sort();
    const id = { counter: other?.startOp ?? 2, actor: other?.actor ?? change.actor };
    switch (this.#int(7)) {
      case 0:
        return { ...change, seq: change.seq + 1 + this.#int(3) };
      case 1:
        return { ...change, startOp: change.startOp + 1 };
      case 2:
        return change.deps.length < 2 ? change : { ...change, deps: change.deps.slice(1) };
      case 3:
        return change.ops.length === 0 ? change : { ...change, deps };
      case 4:
        return first === undefined ? change : { ...change, ops: [{ ...first, pred: [] }, ...rest] };
      case 5:
        return first === undefined ? change : { ...change, ops: [{ ...first, pred: [id] }, ...rest] };
      default:
        return { ...change, startOp: Math.max(2, change.startOp - 1 - this.#int(4)) };
    }
  }
}
