import type { FieldOp, OpId } from './change-types.ts';
import type { FloorValue } from './floor.ts';
import { opIdText } from './op-id.ts';
import { firstInPieces } from './pieces.ts';

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
  readonly #fields = new Map<string, Map<string, OpId>>();

  /** `below`: what is visible before the first of them. */
  constructor(below: readonly FloorValue[]) {
    for (const { field, counter, actor } of below)
      this.#of(field).set(opIdText({ counter, actor }), { counter, actor });
  }

  apply({ actor, startOp, ops }: Applied): void {
    for (const [i, { action, field, pred }] of ops.entries()) {
      const visible = this.#of(field);
      for (const id of pred) visible.delete(opIdText(id));
      const id = { counter: startOp + i, actor };
      if (action === 'set') visible.set(opIdText(id), id);
    }
  }

  /** An actor's own writes first, and the winners of the others. Yields after each piece of work. */
  *namedBy(actor: string): Generator<void, FieldOps> {
    const named = Object.create(null) as Record<string, readonly string[]>;
    for (const [field, visible] of this.#fields) {
      const mineFirst = (a: OpId, b: OpId): number =>
        Number(b.actor === actor) - Number(a.actor === actor) || winnerFirst(a, b);
      const first = yield* firstInPieces(visible.values(), VALUES_AT_ONCE, mineFirst);
      if (first.length > 0) named[field] = first.map(opIdText);
      yield;
    }
    return named;
  }

  #of(field: string): Map<string, OpId> {
    const visible = this.#fields.get(field) ?? new Map<string, OpId>();
    this.#fields.set(field, visible);
    return visible;
  }
}

const winnerFirst = (a: OpId, b: OpId): number => b.counter - a.counter || (a.actor < b.actor ? 1 : -1);
