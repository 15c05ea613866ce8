import type { Env } from '../env.ts';
import { AgrinetError } from '../errors.ts';
import { draftEdit, type Patch } from '../ledger/drafts.ts';
import { base64url } from '../wire/bytes.ts';
import { isLocalId } from '../wire/ids.ts';
import type { PeerId } from '../wire/identity.ts';
import type { Catalogue } from './catalogue-types.ts';
import { withPlace } from './listing-place.ts';
import type { OwnRecords } from './own-records.ts';
import { parseParty } from './party.ts';
import { replacesPriceOf, requireListingPrice } from './price-rules.ts';
import { scalarsOf } from './record-fields.ts';

type ListingWrites = Pick<Catalogue, 'createListing' | 'putListing' | 'putPriceListing'>;

/** Listings as clients create and replace them. */
export function listingWrites(records: OwnRecords, env: Pick<Env, 'now' | 'bytes'>): ListingWrites {
  return {
    async createListing(body) {
      const { id: given, ...rest } = body;
      const id = given === undefined ? base64url(env.bytes(12)) : given;
      if (typeof id !== 'string' || !isLocalId(id))
        throw new AgrinetError('id-invalid', 'id: must be 1 to 64 letters, digits, - or _');
      const fields = { status: 'active', ...listingFields(rest, records.self) };
      requireName(fields);
      requireListingPrice(fields, env.now());
      const key = records.key('listings', id);
      return records.save(key, (known, writer) => {
        if (known?.exists === true && !known.tombstone)
          throw new AgrinetError('listing-exists', `listing ${id} exists; change it with PATCH or PUT`);
        return draftEdit(writer, key, 'public', known, fields);
      });
    },
    async putListing(id, body) {
      if (!isLocalId(id)) throw new AgrinetError('id-invalid', 'id: must be 1 to 64 letters, digits, - or _');
      const fields = { status: 'active', ...listingFields(body, records.self) };
      requireName(fields);
      requireListingPrice(fields, env.now());
      const key = records.key('listings', id);
      return records.save(key, (known, writer) => {
        const gone = Object.keys(known?.view ?? {}).filter((field) => !Object.hasOwn(fields, field));
        return draftEdit(writer, key, 'public', known, {
          ...Object.fromEntries(gone.map((f) => [f, undefined])),
          ...fields,
        });
      });
    },
    putPriceListing(id, body) {
      if (!isLocalId(id)) throw new AgrinetError('id-invalid', 'id: must be 1 to 64 letters, digits, - or _');
      const fields = listingFields(body, records.self);
      requireName(fields);
      const { price, priceDate } = fields;
      requireListingPrice(fields, env.now());
      if (typeof price !== 'number' || typeof priceDate !== 'string')
        throw new AgrinetError('fields-invalid', 'price and priceDate: required');
      const key = records.key('listings', id);
      // Compared with the record inside the write: two concurrent imports end with the newer price, whichever comes first.
      return records.save(key, (known, writer) => {
        if (known?.exists !== true)
          return draftEdit(writer, key, 'public', known, { status: 'active', ...fields });
        const newer = replacesPriceOf(known.view['priceDate'], priceDate, env.now());
        return draftEdit(writer, key, 'public', known, newer ? fields : {});
      });
    },
  };
}

/**
 * The fields of a listing in a request body. Throws `fields-invalid`, also where it assigns the listing to somebody who is not a
 * user of this node.
 */
export function listingFields(body: Readonly<Record<string, unknown>>, self: PeerId): Patch {
  const fields = scalarsOf('listings', withPlace(body));
  const { userId = '' } = fields; // an empty one is nobody's, as old clients have it
  if (userId !== '' && (parseParty(`${userId}@${self}`) === undefined || parseParty(userId)))
    throw new AgrinetError('fields-invalid', 'userId: must be the bare name of a user of this node');
  return fields;
}

const NAMES = ['title', 'commodity', 'productId'] as const;

function requireName(fields: Patch): void {
  const problems = [
    ...(fields['type'] === undefined ? ['type: required, "offer" or "request"'] : []),
    ...(NAMES.some((name) => typeof fields[name] === 'string' && fields[name] !== '')
      ? []
      : ['one of title, commodity or productId is required']),
  ];
  if (problems.length > 0)
    throw new AgrinetError('fields-invalid', problems.join('; '), { details: { problems } });
}
