import type { GapRow } from '../../api/ports/forget.ts';
import type { Store } from '../../storage/store.ts';

/** What is no longer held of each author, as far as it has not been fetched again; for private channels only the operator is told. */
export function gapRowsOf(store: Pick<Store, 'gaps' | 'feedNumbered'>, publicOnly = false): GapRow[] {
  const rows = new Map<string, GapRow>();
  for (const { no, author, channel, seq, at, kept } of store.gaps.all()) {
    if (publicOnly && channel !== 'public') continue;
    const head = store.feedNumbered(no)?.seq ?? 0;
    const keptEntries = [...kept.keys()].filter((each) => each > head).length;
    const row = rows.get(author) ?? { id: author, entries: 0, keptEntries: 0, since: at };
    rows.set(author, {
      id: author,
      entries: row.entries + Math.max(0, seq - head - keptEntries),
      keptEntries: row.keptEntries + keptEntries,
      since: Math.min(row.since, at),
    });
  }
  return [...rows.values()];
}
