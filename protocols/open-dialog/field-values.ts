import { type FieldOp, opIdText, type Scalar } from './change.ts';
import type { FloorValue } from './floor.ts';
import { hotValues } from './hot.ts';
import { firstInPieces } from './pieces.ts';
import type { FieldValue, Values } from './record.ts';

const table = <T>(): Record<string, T> => Object.create(null) as Record<string, T>;

/** The winner first: the larger counter, then the larger actor. */
export function winnerFirst(a: Pick<FieldValue, 'op'>, b: Pick<FieldValue, 'op'>): number {
  const [x, y] = [a.op.indexOf('@'), b.op.indexOf('@')];
  const counters = Number(b.op.slice(0, y)) - Number(a.op.slice(0, x));
  return counters || (a.op.slice(x) < b.op.slice(y) ? 1 : -1);
}

/** Values as a state has them, made field by field of all that is visible. */
export class FieldValues {
  readonly #view = table<Scalar>();
  readonly #fieldOps = table<readonly string[]>();
  readonly #conflicts = table<readonly FieldValue[]>();
  readonly #more = table<number>();

  /** `visible`: all visible values, or as many as fit in a state, including the winner; `count` is their total number. */
  set(field: string, visible: readonly FieldValue[], count = visible.length): void {
    const values = visible.toSorted(winnerFirst);
    const [winner] = values;
    if (winner === undefined) return;
    const kept = values.slice(0, hotValues(values));
    this.#view[field] = winner.value;
    this.#fieldOps[field] = kept.map(({ op }) => op);
    if (values.length > 1) this.#conflicts[field] = kept;
    if (count > kept.length) this.#more[field] = count - kept.length;
  }

  get all(): Values {
    return { view: this.#view, fieldOps: this.#fieldOps, conflicts: this.#conflicts, more: this.#more };
  }
}

/** Visible op ids of each field that a change of an actor on some heads names. */
export type FieldOps = Readonly<Record<string, readonly string[]>>;

/** A change names so many values of a field at once; the next one names more. */
const VALUES_AT_ONCE = 16;

/** One change, as far as it says which writes are visible. */
interface Applied {
  readonly actor: string;
  readonly startOp: number;
  readonly ops: readonly FieldOp[];
}

/**
 * Which writes are visible where some changes and no others are applied: what a change on them names. They are taken in one by one, each after
 * those that it depends on, and none is kept. Equal to what Automerge tells of the same changes.
 */
export class VisibleWrites {
  readonly #fields = new Map<string, Set<string>>();

  /** `below`: what is visible before the first of them. */
  constructor(below: readonly FloorValue[]) {
    for (const value of below) this.#of(value.field).add(opIdText(value));
  }

  apply({ actor, startOp, ops }: Applied): void {
    for (const [i, { action, field, pred }] of ops.entries()) {
      const visible = this.#of(field);
      for (const id of pred) visible.delete(opIdText(id));
      if (action === 'set') visible.add(opIdText({ counter: startOp + i, actor }));
    }
  }

  /** An actor's own writes first, and the winners of the others. Yields after each piece of work. */
  *namedBy(actor: string): Generator<void, FieldOps> {
    const named = table<readonly string[]>();
    const isMine = (op: string): number => Number(op.endsWith(`@${actor}`));
    const mineFirst = (a: string, b: string): number =>
      isMine(b) - isMine(a) || winnerFirst({ op: a }, { op: b });
    for (const [field, visible] of this.#fields) {
      const first = yield* firstInPieces(visible, VALUES_AT_ONCE, mineFirst);
      if (first.length > 0) named[field] = first;
      yield;
    }
    return named;
  }

  #of(field: string): Set<string> {
    const visible = this.#fields.get(field) ?? new Set<string>();
    this.#fields.set(field, visible);
    return visible;
  }
}
