import type { ListedVerdict } from './commit-rows.ts';
import type { Database } from './database.ts';
import { innerKey, range } from './keyspace.ts';
import { verifiedJson } from './values.ts';
import { chunks } from './level.ts';

/** Which of the pending and rejected ops. */
export interface VerdictFilter {
  readonly author?: string | undefined;
  readonly state?: 'pending' | 'rejected' | undefined;
  readonly code?: string | undefined;
}

export interface VerdictPage {
  readonly ops: readonly ListedVerdict[];
  readonly total: number;
  /** Absent on the last page. */
  readonly cursor?: string;
}

/** Rows read before others get their turn: about 5 ms. */
const VERDICTS_AT_ONCE = 1000;

function isListed({ ref, verdict }: ListedVerdict, { author, state, code }: VerdictFilter): boolean {
  return (
    (author === undefined || ref.author === author) &&
    (state === undefined || verdict.state === state) &&
    (code === undefined || ('code' in verdict && verdict.code === code))
  );
}

/**
 * Pending and rejected ops with their reasons: those that match a filter after `cursor` (the position of the last one on an earlier
 * page), and how many the filter matches in all. Every row is read for that, a thousand at a time.
 */
export async function listVerdicts(
  { level }: Pick<Database, 'level'>,
  limit: number,
  filter: VerdictFilter,
  cursor: string,
): Promise<VerdictPage> {
  const ops: ListedVerdict[] = [];
  let total = 0;
  let last = '';
  let more = false;
  for await (const some of chunks(level.iterator(range('verdicts')), VERDICTS_AT_ONCE))
    for (const [key, value] of some) {
      const listed = verifiedJson<ListedVerdict>(key, value);
      if (!isListed(listed, filter)) continue;
      total++;
      const place = innerKey(key);
      if (place <= cursor) continue;
      if (ops.length === limit) more = true;
      else {
        ops.push(listed);
        last = place;
      }
    }
  return more ? { ops, total, cursor: last } : { ops, total };
}
