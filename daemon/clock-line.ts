import { AgrinetError } from '../protocols/errors.ts';
import { isoTime } from '../protocols/wire/iso-time.ts';
import { clockIsCredible } from '../protocols/wire/release-date.ts';
import type { NodeClock } from './node-clock.ts';

/** The warning about a wall clock that cannot be right; none for any other. */
export function clockLine({ wall, credible }: Pick<NodeClock, 'wall' | 'credible'>): string[] {
  if (credible()) return [];
  return [
    `the clock of this machine reads ${isoTime(wall())}, which cannot be right: no keys are issued and no commitments made until it is set (timedatectl)`,
  ];
}

/**
 * A key made in 1970 would be over the moment the clock is set, one made in 2066 would outlive its limit by decades; so would a promise.
 * Throws `clock-wrong`.
 */
export function refuseWrongClock(wall: number): void {
  if (clockIsCredible(wall)) return;
  const message = `the clock of this node reads ${isoTime(wall)}, which cannot be; keys and promises are made once it is set`;
  throw new AgrinetError('clock-wrong', message);
}
