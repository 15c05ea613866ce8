import type { Env } from '../env.ts';
import { AgrinetError } from '../errors.ts';
import { type Draft, draftEdit, draftPrivate, type Patch, type Writer } from '../ledger/drafts.ts';
import type { Ledger, Written } from '../ledger/types.ts';
import type { RecordState } from '../open-dialog/record.ts';
import { sha256 } from '../wire/bytes.ts';
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

  /** One change of one record, drafted from the current record. Resolves when it is on disk. */
  async save(
    key: RecordKey,
    draft: (known: RecordState | undefined, writer: Writer) => Draft,
  ): Promise<Saved> {
    const written = await this.ledger.write({
      keys: [key],
      draft: (writer, read) => [draft(read(key), writer)],
    });
    return savedOf(written, 0);
  }

  /** A private document that these nodes write, once for each nonce: a repetition finds it and changes nothing. */
  async savePrivate(
    collection: string,
    nodes: readonly PeerId[],
    nonce: Uint8Array,
    fields: Patch,
  ): Promise<Saved> {
    const members = { writers: nodes, participants: nodes };
    const created = draftPrivate({ author: this.self }, collection, members, nonce);
    const { key, channel } = created;
    const written = await this.ledger.write({
      keys: [key],
      draft(writer, read) {
        const known = read(key);
        if (known?.exists === true) return [draftEdit(writer, key, channel, known, {})];
        return [created, draftEdit(writer, key, channel, undefined, fields)];
      },
    });
    return savedOf(written, written.records.length - 1);
  }
}

/** 16 bytes that begin a private record: of a request that may be repeated the same each time. */
export function nonceFor(requestId: string | undefined, bytes: Env['bytes']): Uint8Array {
  if (requestId === undefined) return bytes(16);
  return sha256(new TextEncoder().encode(requestId)).subarray(0, 16);
}

/** The record at a place among those that were written. */
export function savedOf(written: Written, at: number): Saved {
  const record = written.records[at];
  if (record?.after === undefined) throw new AgrinetError('internal', 'a written record has no state');
  return { state: record.after, created: record.before?.exists !== true, changed: record.changed };
}
