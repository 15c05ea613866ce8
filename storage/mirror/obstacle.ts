import { type Attributes, VERSION, versionOf } from './attributes.ts';
import type { Version } from './types.ts';

/**
 * Why the condition of a write failed. `absent`: no item. `foreign`: an item that the mirror never wrote. `newer`: what this daemon
 * wrote later, or this very write. `older`: the condition would hold now. `beyond`: an incarnation above ours, so another process
 * has the tables, or nobody. `planted`: a version that nobody can have given.
 */
export type Obstacle = 'absent' | 'foreign' | 'newer' | 'older' | 'beyond' | 'planted';

/** `newest`: the highest counter that this process has given. */
export function obstacleOf(
  item: Attributes | undefined,
  [incarnation, n]: Version,
  newest: number,
): Obstacle {
  if (item === undefined) return 'absent';
  if (item[VERSION] === undefined) return 'foreign';
  const there = versionOf(item);
  if (there === undefined) return 'planted';
  if (there[0] > incarnation) return 'beyond';
  if (there[0] < incarnation) return 'older';
  if (there[1] > newest) return 'planted';
  return there[1] >= n ? 'newer' : 'older';
}

/** Whether a version is one that this holder, or one before it, may have given. */
export function isGiven(item: Attributes, incarnation: number, newest: number): boolean {
  const obstacle = obstacleOf(item, [incarnation, 0], newest);
  return obstacle === 'newer' || obstacle === 'older';
}
