import type { FencePort } from '../../api/ports/trust.ts';
import { askedListings } from '../../api/asked-listings.ts';
import type { Database } from '../../storage/database.ts';
import { readRecords } from '../../storage/record-rows.ts';
import { WantTable } from '../../storage/want-table.ts';
import { type StoredWant, WantBook, type WantBookParts } from './want-book.ts';
import { WantFollower, type WantFollowerParts } from './want-follower.ts';

export interface WantsParts
  extends
    Pick<WantFollowerParts, 'self' | 'raise' | 'warn'>,
    Pick<WantBookParts, 'rows' | 'isUser' | 'refusal'> {
  readonly db: Database;
  readonly env: WantBookParts['env'] & WantFollowerParts['env'];
  readonly fence: Pick<FencePort, 'reason'>;
}

/** Saved searches, and notifying their users of matches. */
export interface OpenWants {
  readonly book: WantBook;
  readonly follower: WantFollower;
}

/** Reads the wants, and continues with the listings left by the last process. */
export async function openWants(parts: WantsParts): Promise<OpenWants> {
  const { db, fence, warn } = parts;
  const table = new WantTable<StoredWant>(db);
  const book = new WantBook({
    ...parts,
    table,
    // A fence may be set later than a want: it is evaluated each time.
    asked: (query) => askedListings(query, { reason: (...of) => fence.reason(...of), active: true }),
  });
  await book.load();
  const follower = new WantFollower({
    ...parts,
    book,
    table,
    records: (keys) =>
      readRecords(db, keys, ({ key }) =>
        warn('a damaged listing was skipped: nobody is notified of it', { key }),
      ),
    write: (ops) => db.batch(ops, false),
  });
  follower.wake();
  return { book, follower };
}
