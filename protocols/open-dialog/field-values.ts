import type { Scalar } from './change.ts';
import { hotValues } from './hot.ts';
import type { FieldValue, Values } from './record.ts';

const table = <T>(): Record<string, T> => Object.create(null) as Record<string, T>;

/** The winner first: the larger counter, then the larger actor. */
export function winnerFirst(a: FieldValue, b: FieldValue): number {
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
