import { distanceKm } from '../protocols/market/coordinates.ts';
import type { RecordState } from '../protocols/open-dialog/record.ts';
import { coordinatesOf, indexValue } from './indexes.ts';
import type { Circle } from './place-cells.ts';

/** The filter of a list. */
export interface ListFilter {
  /** Exact values of indexed text fields, case-insensitive. */
  readonly fields: Readonly<Record<string, string | undefined>>;
  readonly owner?: string | undefined;
  /** Within a great-circle distance. */
  readonly near?: Circle | undefined;
  /** Whether a record is shown at all. */
  readonly keep?: ((state: RecordState) => boolean) | undefined;
}

/** Whether a record is of a filter; throws what `keep` throws. */
export function matches(state: RecordState, { fields, owner, near, keep }: ListFilter): boolean {
  if (owner !== undefined && state.key.split('/')[1] !== owner) return false;
  for (const [field, value] of Object.entries(fields)) {
    if (value !== undefined && indexValue(String(state.view[field] ?? '')) !== indexValue(value))
      return false;
  }
  if (keep !== undefined && !keep(state)) return false;
  if (near === undefined) return true;
  const at = coordinatesOf(state.view);
  return at !== undefined && distanceKm(at, near) <= near.km;
}
