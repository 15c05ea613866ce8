import type { Floor, FloorValue } from '../open-dialog/floor.ts';
import { contentId } from '../open-dialog/membership.ts';
import { opIdOf } from '../open-dialog/change.ts';
import type { RecordState } from '../open-dialog/record.ts';
import { collectionOf } from '../open-dialog/schema.ts';
import { sha256 } from '../wire/bytes.ts';
import { encodeCbor } from '../wire/cbor.ts';
import { parseRecordKey } from '../wire/ids.ts';

/**
 * The floor of a record all of whose ops are covered, from its state alone; undefined where that does not hold enough: more heads or
 * values than it shows, ops that wait, or values that are not merged yet. Then it has to be evaluated.
 */
export function floorOfState(state: RecordState): Floor | undefined {
  const { key, created, updated, tombstone, erased = false } = state;
  const times = { key, created, updated };
  if (tombstone || erased) return { kind: 'ended', ...times, tombstone, erased };
  if (!state.exists || state.pending > 0 || state.unmerged !== undefined) return undefined;
  if (collectionOf(key)?.kind === 'fact') {
    // A payload has one encoding; should it not be this, the fact's id shows it.
    const d = encodeCbor({ ...state.view });
    return contentId(sha256(d)) === parseRecordKey(key)?.id ? { kind: 'fact', ...times, d } : undefined;
  }
  if (state.rest?.heads !== undefined || state.rest?.values !== undefined) return undefined;
  const { heads, maxOp } = state;
  return { kind: 'document', ...times, heads, maxOp, values: valuesOf(state) };
}

function valuesOf({ view, fieldOps, conflicts }: RecordState): FloorValue[] {
  const values: FloorValue[] = [];
  for (const field of Object.keys(fieldOps).sort())
    for (const [i, op] of (fieldOps[field] ?? []).entries()) {
      const value = conflicts[field]?.[i]?.value ?? view[field] ?? null;
      values.push({ field, ...opIdOf(op), value });
    }
  return values;
}
