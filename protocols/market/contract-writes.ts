import type { Env } from '../env.ts';
import { AgrinetError } from '../errors.ts';
import { draftEdit, draftPrivate } from '../ledger/drafts.ts';
import { base64url, sha256 } from '../wire/bytes.ts';
import type { RecordKey } from '../wire/ids.ts';
import type { Catalogue, Saved } from './catalogue-types.ts';
import { clauseChanges } from './contract/clauses.ts';
import { type OwnRecords, savedOf } from './own-records.ts';
import { scalarsOf } from './record-fields.ts';

/** Makes the document of a contract, once for each nonce or id. */
export async function createContract(
  records: OwnRecords,
  bytes: Env['bytes'],
  [{ terms, ...body }, parties, id, given]: Parameters<Catalogue['createContract']>,
): Promise<Saved> {
  const { self, ledger } = records;
  const members = [...new Set([self, ...parties])];
  const plain = { status: 'open', ...scalarsOf('contracts', body) };
  const place = [...members].sort().indexOf(self);
  const fields = { ...plain, ...(terms === undefined ? {} : clauseChanges(terms, place, plain)) };
  if (parties.length === 0) {
    const key = records.key('contracts', id ?? base64url(bytes(12)));
    return records.save(key, (known, pen) =>
      draftEdit(pen, key, 'public', known, known?.exists === true ? {} : fields),
    );
  }
  const nonce =
    given ?? (id === undefined ? bytes(16) : sha256(new TextEncoder().encode(id)).subarray(0, 16));
  const created = draftPrivate(
    { author: self },
    'contracts',
    { writers: members, participants: members },
    nonce,
  );
  const { key, channel } = created;
  const written = await ledger.write({
    keys: [key],
    draft: (pen, read) => {
      const known = read(key);
      if (known?.exists === true) return [draftEdit(pen, key, channel, known, {})];
      return [created, draftEdit(pen, key, channel, undefined, fields)];
    },
  });
  return savedOf(written, written.records.length - 1);
}

/** Which fields the clauses take is decided here, with the document as it stands: two requests at once never take the same. */
export function patchContract(
  records: OwnRecords,
  key: RecordKey,
  { terms, ...body }: Readonly<Record<string, unknown>>,
): Promise<Saved> {
  const fields = scalarsOf('contracts', body);
  return records.save(key, (known, pen) => {
    if (known?.exists !== true) throw new AgrinetError('not-found', 'Not found');
    const place = Math.max(0, known.members?.writers.indexOf(records.self) ?? 0);
    const clauses = terms === undefined ? {} : clauseChanges(terms, place, known.view);
    return draftEdit(pen, key, known.channel, known, { ...fields, ...clauses });
  });
}
