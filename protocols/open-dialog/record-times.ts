import { compareTimes, type HlcTime, listedTime } from '../feed/clock.ts';
import type { ListedTimes, PlacedOp, RecordState } from './record.ts';

/** The times by which lists order a record. */
export function listedTimes({
  listed,
  created,
  updated,
}: Pick<RecordState, 'created' | 'updated' | 'listed'>): ListedTimes {
  return listed ?? { created, updated };
}

interface Timed {
  created: HlcTime;
  updated: HlcTime;
  listed?: ListedTimes;
}

/**
 * Adds the times of one more applied op: the earliest and the latest, whatever the order of arrival. `isFirst`: nothing of the
 * record was applied before.
 */
export function noteTimes(state: Timed, isFirst: boolean, { time, arrived = 0 }: PlacedOp): void {
  const limited = listedTime(time, arrived);
  const before = listedTimes(state);
  const listed = isFirst ? { created: limited, updated: limited } : spanned(before, limited);
  const signed = isFirst ? { created: time, updated: time } : spanned(state, time);
  state.created = signed.created;
  state.updated = signed.updated;
  if (
    compareTimes(listed.created, signed.created) === 0 &&
    compareTimes(listed.updated, signed.updated) === 0
  )
    delete state.listed;
  else state.listed = listed;
}

/** Bounds the times that lists order a record by, where they are those that were signed, by when these came. */
export function limitTimes(state: Timed, arrived: number): void {
  const [created, updated] = [listedTime(state.created, arrived), listedTime(state.updated, arrived)];
  const isOwn = compareTimes(created, state.created) === 0 && compareTimes(updated, state.updated) === 0;
  if (!isOwn) state.listed = { created, updated };
}

function spanned({ created, updated }: ListedTimes, time: HlcTime): ListedTimes {
  return {
    created: compareTimes(created, time) < 0 ? created : time,
    updated: compareTimes(updated, time) > 0 ? updated : time,
  };
}
