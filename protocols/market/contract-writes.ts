import type { Env } from '../env.ts';
import { AgrinetError } from '../errors.ts';
import { draftEdit } from '../ledger/drafts.ts';
import { base64url } from '../wire/bytes.ts';
import type { RecordKey } from '../wire/ids.ts';
import type { Catalogue, Saved } from './catalogue-types.ts';
import { clauseChanges } from './contract/clauses.ts';
import { nonceFor, type OwnRecords } from './own-records.ts';
import { scalarsOf } from './record-fields.ts';

/** Makes the document of a contract, once for each nonce or id. */
export async function createContract(
  records: OwnRecords,
  bytes: Env['bytes'],
  [{ terms, ...body }, parties, id, given]: Parameters<Catalogue['createContract']>,
): Promise<Saved> {
  const { self } = records;
  const members = [...new Set([self, ...parties])];
  const plain = { status: 'open', ...scalarsOf('contracts', body) };
  const place = [...members].sort().indexOf(self);
  const fields = { ...plain, ...(terms === undefined ? {} : clauseChanges(terms, place, plain)) };
  if (parties.length === 0) {
    const key = records.key('contracts', id ?? base64url(bytes(12)));
    return records.save(key, (known, writer) =>
      draftEdit(writer, key, 'public', known, known?.exists === true ? {} : fields),
    );
  }
  return records.savePrivate('contracts', members, given ?? nonceFor(id, bytes), fields);
}

/** Which fields the clauses take is decided here, from the current document: two concurrent requests never take the same. */
export function patchContract(
  records: OwnRecords,
  key: RecordKey,
  { terms, ...body }: Readonly<Record<string, unknown>>,
): Promise<Saved> {
  const fields = scalarsOf('contracts', body);
  return records.save(key, (known, writer) => {
    if (known?.exists !== true) throw new AgrinetError('not-found', 'Not found');
    const place = Math.max(0, known.members?.writers.indexOf(records.self) ?? 0);
    const clauses = terms === undefined ? {} : clauseChanges(terms, place, known.view);
    return draftEdit(writer, key, known.channel, known, { ...fields, ...clauses });
  });
}
