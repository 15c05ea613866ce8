import { digestElement } from '../../../protocols/digest/element.ts';
import { decodeOp, encodeOp } from '../../../protocols/feed/op.ts';
import { draftEdit, draftTombstone, type Patch } from '../../../protocols/ledger/drafts.ts';
import { type Change, decodeChange, encodeChange } from '../../../protocols/open-dialog/change.ts';
import type { Floor } from '../../../protocols/open-dialog/floor.ts';
import type { PlacedOp, RecordState } from '../../../protocols/open-dialog/record.ts';
import { evaluate, runAll } from '../../../protocols/open-dialog/rule.ts';
import { hex } from '../../../protocols/wire/bytes.ts';
import { recordKey } from '../../../protocols/wire/ids.ts';
import { evaluateWhole } from '../evaluate-whole.ts';
import { nodeOf } from './signatures.ts';

const author = nodeOf(1).peerId;
const key = recordKey('listings', author, 'maize-3');
const epochOf = (n: number): string => n.toString(16).padStart(16, '0');

/** Ops of epochs of one listing, each drafted upon a state. */
class Ops {
  readonly all: PlacedOp[] = [];

  edit(
    epoch: number,
    state: RecordState | undefined,
    patch: Patch,
    change = (it: Change): Change => it,
  ): PlacedOp {
    const [bytes] = draftEdit({ author, epoch: epochOf(epoch) }, key, 'public', state, patch).ops;
    const op = bytes && decodeOp(bytes);
    if (op === undefined) throw new TypeError('an edit that changes something');
    const { hash: _, ...made } = decodeChange(op.d);
    return this.add(epoch, encodeOp({ ...op, d: encodeChange(change(made)) }));
  }

  add(epoch: number, bytes: Uint8Array): PlacedOp {
    const place = { author, channel: 'public', epoch: epochOf(epoch), index: 0 } as const;
    const seq = this.all.filter((each) => each.epoch === place.epoch).length + 1;
    const op = { ...place, seq, bytes, time: [1_700_000_000_000 + this.all.length, 0] } as const;
    this.all.push(op);
    return op;
  }
}

const stateOf = (ops: readonly PlacedOp[], floor?: Floor): RecordState =>
  evaluateWhole(key, ops, undefined, undefined, floor).state;

export interface FloorVector {
  readonly name: string;
  readonly key: string;
  readonly below: readonly unknown[];
  readonly floor: unknown;
  readonly above: readonly unknown[];
}

/** Ops below a floor, the floor that they give, and ops above it. */
export function floorVectors(): FloorVector[] {
  return [conflict(), ended()].map(({ name, below, above }) => {
    const { floor } = runAll(evaluate(key, below, undefined, { tellsFloor: true }));
    if (floor === undefined || typeof floor === 'string') throw new TypeError('a floor');
    const { verdicts, state } = evaluateWhole(key, above, undefined, undefined, floor);
    const told = (ops: readonly PlacedOp[]) => ops.map(({ bytes, ...op }) => ({ ...op, op: hex(bytes) }));
    return {
      name,
      key,
      below: told(below),
      floor,
      above: told(above).map((op, i) => ({ ...op, verdict: verdicts[i] })),
      heads: state.heads,
      view: { ...state.view },
      conflicts: { ...state.conflicts },
      element: digestElement(state) ?? null,
    };
  });
}

/** Two heads and a conflict, below it; above it an edit that follows both, and some that do not. */
function conflict(): { name: string; below: PlacedOp[]; above: PlacedOp[] } {
  const ops = new Ops();
  ops.edit(1, undefined, { type: 'offer', status: 'active', title: 'Maize', price: 50 });
  const first = stateOf(ops.all);
  ops.edit(2, first, { title: 'Maize, dry', price: 45 });
  const second = ops.edit(1, first, { title: 'Mahindi' });
  const below = [...ops.all];
  const state = stateOf(below);
  const half = stateOf(below.filter((op) => op.epoch === epochOf(1)));
  // The first of an actor above the floor, whatever its sequence.
  ops.edit(1, state, { title: 'Mahindi, kavu' }, (change) => ({ ...change, seq: 7 }));
  const edited = stateOf(ops.all);
  ops.edit(3, edited, { notes: 'sun-dried' });
  // Of one head alone, and what its epoch writes after that.
  ops.edit(4, half, { notes: 'in bags' });
  ops.edit(4, edited, { unit: 'kg' });
  // A value that was replaced below the floor.
  ops.edit(5, state, { price: 40 }, (change) => ({
    ...change,
    ops: change.ops.map((op) => ({ ...op, pred: preds(first, 'price') })),
  }));
  // What nobody holds, and may still come.
  ops.edit(6, edited, { unit: 'bag' }, (change) => ({ ...change, deps: ['ee'.repeat(32)] }));
  if (second.seq !== 2) throw new TypeError('the second of its epoch');
  return { name: 'a listing with two heads and a conflict', below, above: ops.all.slice(below.length) };
}

function preds({ fieldOps }: RecordState, field: string): { counter: number; actor: string }[] {
  return (fieldOps[field] ?? []).map((text) => {
    const [counter, actor = ''] = text.split('@');
    return { counter: Number(counter), actor };
  });
}

function ended(): { name: string; below: PlacedOp[]; above: PlacedOp[] } {
  const ops = new Ops();
  ops.edit(1, undefined, { type: 'offer', status: 'active', title: 'Maize' });
  const state = stateOf(ops.all);
  const [end] = draftTombstone(key, 'public').ops;
  if (end === undefined) throw new TypeError('a tombstone');
  ops.add(1, end);
  const below = [...ops.all];
  ops.edit(2, state, { title: 'Mahindi' });
  return { name: 'a listing that has ended', below, above: ops.all.slice(below.length) };
}
