import { AgrinetError } from '../../errors.ts';
import type { Scalar } from '../../open-dialog/change.ts';
import { isLive, type RecordState } from '../../open-dialog/record.ts';
import { COLLECTIONS, fieldRule, valueProblem } from '../../open-dialog/schema.ts';
import type { Terms } from '../contract/terms.ts';

/** The terms that a contract copies from its listing and compares with it later; quantity is a matter of stock. */
const COMPARED = [
  'title',
  'commodity',
  'unit',
  'price',
  'currency',
  'location',
  'geoLat_',
  'geoLong_',
] as const;
/** Terms that change the meaning of a quantity or a price. */
const MEASURES: readonly string[] = ['unit', 'currency'];
/** Fields of a contract that repeat the listing; no client writes them. */
const PREFIX = 'listing.';

type Fields = Readonly<Record<string, Scalar | undefined>>;

export const isCopy = (field: string): boolean => field.startsWith(PREFIX);

/** The values of a listing, under the contract's names; fields that it does not have are absent. */
function listed({ view }: RecordState): Record<string, Scalar> {
  const fields: Record<string, Scalar> = {};
  for (const field of COMPARED) {
    const value = field === 'location' ? placeOf(view) : view[field];
    const rule = COLLECTIONS['contracts'] && fieldRule(COLLECTIONS['contracts'], field);
    if (value !== undefined && rule !== undefined && valueProblem(rule, value) === undefined)
      fields[field] = value;
  }
  return fields;
}

const placeOf = (view: RecordState['view']): Scalar | undefined =>
  view['location'] ?? view['market'] ?? view['region'];

/**
 * What a new contract takes from a listing: its terms, with the remaining quantity, and a copy of them as `listing.<field>`, with
 * the listing's heads. So both parties sign the values of the listing.
 */
export function termsOfListing(listing: RecordState): Record<string, Scalar | undefined> {
  const terms = listed(listing);
  const copies = Object.entries(terms).map(([field, value]) => [PREFIX + field, value] as const);
  return {
    ...terms,
    quantity: listing.view['available'] ?? listing.view['quantity'],
    ...Object.fromEntries(copies),
    [`${PREFIX}heads`]: [...listing.heads].sort().join(','),
  };
}

/**
 * The fields of a contract that copy its listing, under the listing's names; `heads` as a list. Undefined for a contract without
 * any.
 */
export function copiedListing(
  view: RecordState['view'],
): (Record<string, Scalar | string[]> & { heads: string[] }) | undefined {
  const copies = Object.entries(view)
    .filter(([field]) => isCopy(field))
    .map(([field, value]) => [field.slice(PREFIX.length), value] as const);
  if (copies.length === 0) return undefined;
  const { heads, ...fields } = Object.fromEntries(copies);
  return { ...fields, heads: typeof heads === 'string' ? heads.split(',') : [] };
}

/** A term and the value of the listing. */
export interface Difference {
  readonly field: string;
  readonly contract: Scalar;
  readonly listing: Scalar;
}

/** Where the unit or the currency is not that of the listing which the contract was made from. */
export function measuresThatDiffer(terms: Fields): Difference[] {
  return MEASURES.flatMap((field) => differs(field, terms, terms[PREFIX + field]));
}

function differs(field: string, terms: Fields, said: Scalar | undefined): Difference[] {
  const term = terms[field] ?? null;
  return said === undefined || term === null || said === term
    ? []
    : [{ field, contract: term, listing: said }];
}

/** Copied terms that differ from the listing by now, except for a lower price. */
function moved(terms: Fields, now: Fields): Difference[] {
  return COMPARED.flatMap((field) => {
    const copy = terms[PREFIX + field] ?? null;
    const [term, said] = [terms[field] ?? null, now[field] ?? null];
    if (term === null || term !== copy || said === term) return [];
    if (field === 'price' && typeof said === 'number' && Number(term) < said) return [];
    return [{ field, contract: term, listing: said }];
  });
}

/**
 * Refuses to sign terms that differ from the listing by now, or whose unit or currency are not the listing's, before the party has
 * been told: `listing-moved`, `listing-differs` (409). `listing` is the record as held now; for one that has ended, the copied
 * values are compared.
 */
export function requireAsListed(terms: Terms, listing: RecordState | undefined): void {
  const now = isLive(listing) ? listed(listing) : undefined;
  if (now !== undefined) refuse('listing-moved', moved(terms, now), 'has changed since');
  const measures =
    now === undefined
      ? measuresThatDiffer(terms)
      : MEASURES.flatMap((field) => differs(field, terms, now[field]));
  refuse('listing-differs', measures, 'says otherwise');
}

function refuse(code: 'listing-moved' | 'listing-differs', found: readonly Difference[], why: string): void {
  if (found.length === 0) return;
  const each = found.map(
    ({ field, contract, listing }) =>
      `${field} is ${JSON.stringify(contract)} in the contract and ${JSON.stringify(listing)} in the listing`,
  );
  throw new AgrinetError(
    code,
    `the listing ${why}: ${each.join('; ')}; change the terms with PATCH, or send acknowledgeListing: true to sign them as they are`,
    { details: { differences: found } },
  );
}
