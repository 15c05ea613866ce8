import type { UsageTable } from '../storage/usage.ts';
import type { DiskAlarm } from './alarms.ts';

/** Whose entries have grown most since this was made: at the start of the process. */
export function createGrowth(
  usage: Pick<UsageTable, 'authors'>,
  self: string,
): { most(): DiskAlarm['most'] } {
  const before = new Map([...usage.authors()].map(([author, { bytes }]) => [author, bytes]));
  return {
    most() {
      const [first] = [...usage.authors()]
        .map(([author, { bytes }]) => ({
          author,
          bytes: bytes - (before.get(author) ?? 0),
          own: author === self,
        }))
        .toSorted((a, b) => b.bytes - a.bytes);
      return first;
    },
  };
}
