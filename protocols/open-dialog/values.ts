import { restOf } from './hot.ts';
import type { RecordState, Unmerged, Values } from './record.ts';

/** A state with the values of a merge. */
export function withValues(outline: RecordState, { more, ...values }: Values): RecordState {
  return { ...outline, ...values, ...restWith(outline, more) };
}

/** A state whose merge is outstanding: it shows the values of `shown`, and everything else is as the rule says. */
export function withoutMerge(
  outline: RecordState,
  { view, fieldOps, conflicts, rest }: RecordState,
  unmerged: Unmerged,
): RecordState {
  return { ...outline, view, fieldOps, conflicts, ...restWith(outline, rest?.values ?? {}), unmerged };
}

function restWith({ rest }: RecordState, more: Values['more']): Pick<RecordState, 'rest'> {
  const next = restOf(rest?.heads, rest?.actors ?? 0, more);
  return next === undefined ? {} : { rest: next };
}
