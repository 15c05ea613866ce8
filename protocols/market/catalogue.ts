import type { Env } from '../env.ts';
import { AgrinetError } from '../errors.ts';
import { draftEdit, draftFact, draftTombstone } from '../ledger/drafts.ts';
import type { Ledger } from '../ledger/types.ts';
import type { PeerId } from '../wire/identity.ts';
import { parseRecordKey } from '../wire/ids.ts';
import type { Catalogue } from './catalogue-types.ts';
import { createContract, patchContract } from './contract-writes.ts';
import { listingFields, listingWrites } from './listing-writes.ts';
import { OwnRecords, savedOf } from './own-records.ts';
import { requireListingPrice, requireOtherSource, requirePrice } from './price-rules.ts';
import { scalarsOf } from './record-fields.ts';

export type { Catalogue, Saved } from './catalogue-types.ts';

/** What clients may do to this node's own records, over its ledger. */
export function createCatalogue(ledger: Ledger, self: PeerId, env: Pick<Env, 'now' | 'bytes'>): Catalogue {
  const records = new OwnRecords(ledger, self);
  return {
    ...listingWrites(records, env),
    patch(key, body) {
      const parts = parseRecordKey(key);
      const collection = parts?.collection ?? '';
      if (collection === 'contracts') return patchContract(records, key, body);
      const fields =
        collection === 'listings' ? listingFields(body, records.self) : scalarsOf(collection, body);
      return records.save(key, (known, writer) => {
        if (known?.exists !== true) throw new AgrinetError('not-found', 'Not found');
        // Of what the listing is afterwards: its price and its day are one statement. Other edits leave an old one as it is.
        if (collection === 'listings' && ('price' in fields || 'priceDate' in fields))
          requireListingPrice({ ...known.view, ...fields }, env.now());
        return draftEdit(writer, key, known.channel, known, fields);
      });
    },
    async remove(key) {
      await records.save(key, (known) => {
        if (known?.exists !== true || known.tombstone) throw new AgrinetError('not-found', 'Not found');
        return draftTombstone(key, known.channel);
      });
    },
    async addPrice(body) {
      const fields = scalarsOf('prices', body);
      requirePrice(fields['price'], fields['date'], env.now());
      requireOtherSource(fields['source']);
      const written = await ledger.write({
        keys: [],
        draft: (writer) => [draftFact(writer, 'prices', fields)],
      });
      return savedOf(written, 0);
    },
    putProfile(fields) {
      const key = records.key('nodes', 'profile');
      return records.save(key, (known, writer) =>
        draftEdit(writer, key, 'public', known, { nodeId: self, ...fields }),
      );
    },
    createContract: (...wish) => createContract(records, env.bytes, wish),
    resolveConflict(key, field, value) {
      return records.save(key, (known, writer) => {
        if (known?.conflicts[field] === undefined)
          throw new AgrinetError('not-found', `${field} of this record is not in conflict`);
        return draftEdit(writer, key, known.channel, known, { [field]: value });
      });
    },
  };
}
