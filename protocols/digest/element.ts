import type { RecordState } from '../open-dialog/record.ts';

/**
 * What a record adds to its owner's digest: its key and its heads, or that it is ended; nothing when nothing of it counts.
 * No view, time, clock, fence or registry enters it.
 */
export function digestElement(
  state: Pick<RecordState, 'key' | 'tombstone' | 'exists' | 'heads' | 'rest'> | undefined,
): string | undefined {
  if (state === undefined) return undefined;
  if (state.tombstone) return `${state.key}\ntombstone`;
  const { heads, rest } = state;
  // Those beyond what the state holds stand in by their hash.
  const all = rest?.heads === undefined ? heads : [...heads, `+${rest.heads.count}:${rest.heads.hash}`];
  return state.exists ? `${state.key}\n${all.join(',')}` : undefined;
}
