import type { Change } from './change.ts';
import { winnerFirst } from './field-values.ts';
import { count } from './fast-path.ts';
import { evictActors, HOT, hotValues, restOf } from './hot.ts';
import type { FieldValue, OpenState, PlacedOp } from './record.ts';

/**
 * What a change has seen that did not follow everything applied before it: everything applied up to a number, and beyond that the
 * changes of these actors up to a sequence.
 */
export interface Seen {
  readonly upTo: number;
  readonly also: Readonly<Record<string, readonly [seq: number, no: number]>>;
}

/** An applied change in the form with which later ones are compared. */
export interface PastChange {
  readonly actor: string;
  readonly seq: number;
  readonly startOp: number;
  readonly lastOp: number;
  /** This node's own number, larger than that of every change of the record that was applied before. */
  readonly no: number;
  /** Absent where it followed all that was applied before it: then it has seen just what has a smaller number. */
  readonly seen?: Seen;
}

/** What a change that follows these has seen. */
export function seenBy(deps: readonly PastChange[]): Seen {
  let upTo = 0;
  const also: Record<string, readonly [seq: number, no: number]> = Object.create(null) as never;
  const note = (actor: string, seq: number, no: number): void => {
    if (seq > (also[actor]?.[0] ?? 0)) also[actor] = [seq, no];
  };
  for (const { actor, seq, no, seen } of deps) {
    upTo = Math.max(upTo, seen?.upTo ?? no);
    if (seen === undefined) continue;
    note(actor, seq, no);
    for (const [other, [last, at]] of Object.entries(seen.also)) note(other, last, at);
  }
  // Everything with a smaller number is seen anyway, so this names only actors that wrote since all was last seen.
  for (const [actor, [, no]] of Object.entries(also)) if (no <= upTo) delete also[actor];
  return { upTo, also };
}

/**
 * Actors that a change is recorded to have seen beyond a number. Otherwise each late change would be stored with all that wrote late
 * before it.
 */
const ALSO = 64;

/** Whether more has been seen than is kept with a change. */
export function isSeenTooMuch({ also }: Seen): boolean {
  return Object.keys(also).length > ALSO;
}

export function hasSeen({ upTo, also }: Seen, { actor, seq, no }: PastChange): boolean {
  return no <= upTo || (also[actor]?.[0] ?? 0) >= seq;
}

/** Whether the state holds everything that this change touches, so that its effect can be computed from the two alone. */
export function isWithinState(state: OpenState, { deps, ops }: Change): boolean {
  const { heads, rest, erased, floored, unmerged, pending } = state;
  // What it depends on or replaces may be part of the floor, which no op holds.
  if (floored !== undefined) return false;
  if (erased === true || unmerged !== undefined || pending > 0 || rest?.heads !== undefined) return false;
  if (heads.filter((head) => !deps.includes(head)).length >= HOT.heads) return false;
  return ops.every(({ field }) => rest?.values?.[field] === undefined);
}

/** Takes in a change that has been found to count, whatever is concurrent to it. `isNew`: it is its actor's first. */
export function applyLate(
  state: OpenState,
  change: Change & { readonly hash: string },
  placed: PlacedOp,
  lastOp: number,
  isNew: boolean,
): void {
  count(state, placed);
  if (placed.channel === 'public') state.exists = true;
  const values: Record<string, number> = { ...state.rest?.values };
  for (const [i, { action, field, value, pred }] of change.ops.entries()) {
    const replaced = new Set(pred.map(({ counter, actor }) => `${counter}@${actor}`));
    const visible = visibleOf(state, field).filter(({ op }) => !replaced.has(op));
    if (action === 'set') visible.push({ op: `${change.startOp + i}@${change.actor}`, value: value ?? null });
    const beyond = show(state, field, visible.sort(winnerFirst));
    if (beyond > 0) values[field] = beyond;
  }
  state.heads = [...state.heads.filter((head) => !change.deps.includes(head)), change.hash].sort();
  state.maxOp = Math.max(state.maxOp, lastOp);
  const isBack = !isNew && state.seqs[change.actor] === undefined;
  state.seqs[change.actor] = [change.seq, lastOp];
  const actors = (state.rest?.actors ?? 0) + evictActors(state.seqs) - (isBack ? 1 : 0);
  const rest = restOf(undefined, actors, values);
  if (rest === undefined) delete state.rest;
  else state.rest = rest;
}

/** The visible values of a field of which the state holds all, each with its op. */
function visibleOf({ conflicts, fieldOps, view }: OpenState, field: string): FieldValue[] {
  const known = conflicts[field];
  if (known !== undefined) return [...known];
  return (fieldOps[field] ?? []).map((op) => ({ op, value: view[field] ?? null }));
}

/** Puts the visible values of a field into the state; answers how many are beyond it. */
function show(state: OpenState, field: string, visible: readonly FieldValue[]): number {
  delete state.view[field];
  delete state.fieldOps[field];
  delete state.conflicts[field];
  const [winner] = visible;
  if (winner === undefined) return 0;
  const kept = visible.slice(0, hotValues(visible));
  state.view[field] = winner.value;
  state.fieldOps[field] = kept.map(({ op }) => op);
  if (visible.length > 1) state.conflicts[field] = kept;
  return visible.length - kept.length;
}
