import type { RecordState } from '../../open-dialog/record.ts';
import { concat, fromHex, sha256 } from '../../wire/bytes.ts';
import { encodeCbor } from '../../wire/cbor.ts';
import { parsePublicId } from '../../wire/ids.ts';
import type { Transition } from '../contract/statement.ts';
import { nodeOf, parseParty } from '../party.ts';

/** The parties of a contract and the listing that it takes from: `user@peer` twice, and the public id of a listing or ''. */
export interface Binding {
  readonly buyer: string;
  readonly supplier: string;
  readonly listing: string;
}

/** Whether the supplier's own listing is what a contract takes from. */
export function takesStock({ supplier, listing }: Binding): boolean {
  const supplying = nodeOf(supplier);
  return supplying !== undefined && parsePublicId(listing, supplying)?.owner === supplying;
}

/** Of the creation's 16 bytes, this many are random, and the rest is the hash of the binding. */
const SALT = 6;
/** Combinations that are tried for one contract: a party that signs under many names costs no more. */
const TRIES = 4096;
/** Names of each kind that are tried. */
export const NAMES = 256;

/** The end of the nonce of a contract's creation. */
export function bindingTag({ buyer, supplier, listing }: Binding): Uint8Array {
  return sha256(encodeCbor({ buyer, supplier, listing })).subarray(0, 16 - SALT);
}

/**
 * The nonce of a contract's creation. The terms and the parties are in a document that either node may edit; through the nonce, the
 * contract's id, which is the hash of its creation, is bound to the parties, so that no later edit can replace one.
 */
export function bindingNonce(binding: Binding, salt: Uint8Array): Uint8Array {
  return concat([sha256(salt).subarray(0, SALT), bindingTag(binding)]);
}

/** All values that a document's fields have had, including overwritten ones. */
export type PastValues = ReadonlyMap<string, readonly unknown[]>;

/**
 * The binding that this contract's id commits to, found among the names that its document and its statements hold, and `past`
 * where it is given; undefined when none fits (made elsewhere by other rules).
 */
export function bindingOf(
  state: RecordState,
  statements: Iterable<Transition>,
  past: PastValues = new Map(),
): Binding | undefined {
  const nonce = state.members?.nonce;
  if (nonce === undefined) return undefined;
  const owner = state.members?.owner ?? '';
  const names = { buyer: new Set<string>(), supplier: new Set<string>(), listing: new Set<string>() };
  const party = (value: unknown): string[] => {
    if (typeof value !== 'string') return [];
    return [value, `${value}@${owner}`].filter((name) => parseParty(name) !== undefined);
  };
  const note = (field: string, value: unknown): void => {
    if (field === 'buyerId') for (const name of party(value)) names.buyer.add(name);
    if (field === 'supplierId') for (const name of party(value)) names.supplier.add(name);
    if (field === 'listingId' && typeof value === 'string') names.listing.add(value);
  };
  for (const [field, value] of Object.entries(state.view)) note(field, value);
  for (const [field, values] of Object.entries(state.conflicts))
    for (const { value } of values) note(field, value);
  names.listing.add('');
  for (const [field, values] of past) for (const value of values) note(field, value);
  for (const t of statements) {
    names.buyer.add(t.party);
    names.supplier.add(t.party);
    if (t.kind === 'propose') for (const [field, value] of Object.entries(t.terms)) note(field, value);
  }
  const wanted = Buffer.from(fromHex(nonce)).subarray(SALT);
  let tries = 0;
  for (const binding of nearestFirst(names)) {
    if (tries++ >= TRIES) return undefined;
    if (binding.buyer !== binding.supplier && wanted.equals(bindingTag(binding))) return binding;
  }
  return undefined;
}

/** Every combination, those of earlier names before all others: a flood of names delays only itself. */
function* nearestFirst(names: Readonly<Record<keyof Binding, ReadonlySet<string>>>): Generator<Binding> {
  const [listings, buyers, suppliers] = [names.listing, names.buyer, names.supplier].map((set) =>
    [...set].slice(0, NAMES),
  ) as [string[], string[], string[]];
  for (let far = 0; far < NAMES; far++)
    for (const [l, listing] of listings.slice(0, far + 1).entries())
      for (const [b, buyer] of buyers.slice(0, far + 1).entries())
        for (const [s, supplier] of suppliers.slice(0, far + 1).entries())
          if (Math.max(l, b, s) === far) yield { buyer, supplier, listing };
}
