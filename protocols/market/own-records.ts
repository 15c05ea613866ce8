import { AgrinetError } from '../errors.ts';
import type { Draft, Pen } from '../ledger/drafts.ts';
import type { Ledger, Written } from '../ledger/types.ts';
import type { RecordState } from '../open-dialog/record.ts';
import type { PeerId } from '../wire/identity.ts';
import { recordKey, type RecordKey } from '../wire/ids.ts';
import type { Saved } from './catalogue-types.ts';

/** This node's own records as they are written one at a time. */
export class OwnRecords {
  readonly ledger: Pick<Ledger, 'write'>;
  readonly self: PeerId;

  constructor(ledger: Pick<Ledger, 'write'>, self: PeerId) {
    this.ledger = ledger;
    this.self = self;
  }

  key(collection: string, id: string): RecordKey {
    return recordKey(collection, this.self, id);
  }

  /** One change of one record, drafted with the record as it stands. Resolves when it is on disk. */
  async save(key: RecordKey, draft: (known: RecordState | undefined, pen: Pen) => Draft): Promise<Saved> {
    const written = await this.ledger.write({ keys: [key], draft: (pen, read) => [draft(read(key), pen)] });
    return savedOf(written, 0);
  }
}

/** The record at a place among those that were written. */
export function savedOf(written: Written, at: number): Saved {
  const record = written.records[at];
  if (record?.after === undefined) throw new AgrinetError('internal', 'a written record has no state');
  return { state: record.after, created: record.before?.exists !== true, changed: record.changed };
}
