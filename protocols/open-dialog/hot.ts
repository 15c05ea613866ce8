import type { FieldValue, RecordRest } from './record.ts';

/**
 * How much of a record is in its state. With a finite set of field names this gives every collection an upper bound. What is beyond
 * it is shown as a number and not lost: it is in the ops, and a caller that needs it evaluates the record completely.
 */
export const HOT = {
  /** Visible values of one field, including the winner: this many concurrent writers can be shown. */
  values: 8,
  /** UTF-16 code units of the losing values of one field; the first of them is shown whatever its length. */
  lostText: 2048,
  /** Heads: a change can be drafted on this many concurrent histories at once. */
  heads: 8,
  /** Actors whose last sequence is known: as many as a private record can have writers. */
  actors: 16,
} as const;

/** Sequence and last op counter of an actor's newest counting change. */
export type ActorSeq = readonly [seq: number, lastOp: number];

const lengthOf = ({ value }: FieldValue): number => (typeof value === 'string' ? value.length : 8);

/** How many of a field's visible values, the winner first, are in the state. */
export function hotValues(values: readonly FieldValue[]): number {
  let text = 0;
  let kept = 1;
  for (const value of values.slice(1, HOT.values)) {
    text += lengthOf(value);
    if (kept > 1 && text > HOT.lostText) break;
    kept++;
  }
  return Math.min(kept, values.length);
}

/**
 * Removes from `seqs` what exceeds the state's limit, the actors silent for longest first; returns how many. Those without a change
 * were only met in this commit: they are not actors of the record.
 */
export function evictActors(seqs: Record<string, ActorSeq>): number {
  const actors = Object.keys(seqs).filter((actor) => seqs[actor]?.[0] !== 0);
  if (actors.length <= HOT.actors) return 0;
  const lastOp = (actor: string): number => seqs[actor]?.[1] ?? 0;
  const silent = actors.sort((a, b) => lastOp(b) - lastOp(a) || (a < b ? 1 : -1)).slice(HOT.actors);
  for (const actor of silent) delete seqs[actor];
  return silent.length;
}

/** What is beyond the state; undefined when nothing is. */
export function restOf(
  heads: RecordRest['heads'],
  actors: number,
  values: Readonly<Record<string, number>>,
): RecordRest | undefined {
  const hasValues = Object.keys(values).length > 0;
  if (heads === undefined && actors === 0 && !hasValues) return undefined;
  return {
    ...(heads === undefined ? {} : { heads }),
    ...(actors === 0 ? {} : { actors }),
    ...(hasValues ? { values } : {}),
  };
}
