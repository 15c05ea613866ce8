import type { Member } from './member.ts';
import { OPERATOR } from './trade.ts';
import { compared, recordsOf } from './liveness.ts';

/** What a world has come to: what was there to go wrong. Adds to `figures`. */
export async function countEnd(members: readonly Member[], figures: Record<string, number>): Promise<void> {
  const add = (what: string, count = 1): void => void (figures[what] = (figures[what] ?? 0) + count);
  for (const [what, count] of Object.entries(compared(members))) add(what, count);
  const seen = new Set<string>();
  for (const { running, disk } of members) {
    if (running === undefined) continue;
    for (const { feeds } of running.store.feedGroups())
      add('forked feeds', feeds.filter(({ fork }) => fork !== undefined).length);
    for (const [key, state] of recordsOf(disk.rows)) {
      if (seen.has(key)) continue;
      seen.add(key);
      if (state.tombstone) add('tombstones');
      if (Object.keys(state.conflicts).length > 0) add('conflicts');
      if (!key.startsWith('contracts/') || state.channel === 'public') continue;
      const sight = await running.book.get(state.key, OPERATOR).catch(() => undefined);
      add(`contract ${sight?.held?.verdict.state ?? 'of none'}`);
    }
  }
}
