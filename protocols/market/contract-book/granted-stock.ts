import { AgrinetError } from '../../errors.ts';
import { draftEdit, type Draft, type Writer } from '../../ledger/drafts.ts';
import { isLive, type RecordState } from '../../open-dialog/record.ts';
import type { PeerId } from '../../wire/identity.ts';
import { parsePublicId, recordKey, type RecordKey } from '../../wire/ids.ts';
import { available, type Grant, granted, grantOf, mayGrant } from '../contract/stock.ts';
import { nodeOf } from '../party.ts';
import { takesStock } from './binding.ts';
import type { HeldContract } from './types.ts';

/**
 * What contracts take from this node's own listings, in memory: filled at start from the contracts themselves and updated by every
 * commit. Only this node's own steps raise a grant, and those are made one at a time for each listing, so the sum is never older
 * than the step that is checked against it.
 */
export class GrantedStock {
  readonly #self: PeerId;
  readonly #grants = new Map<RecordKey, Map<RecordKey, number>>();
  /** When the first hold of a contract is over, milliseconds since 1970. */
  readonly #due = new Map<RecordKey, number>();

  constructor(self: PeerId) {
    this.#self = self;
  }

  /** The own listing a contract takes from; undefined for one of which this node grants nothing. */
  listingOf({ binding }: Pick<HeldContract, 'binding'>): RecordKey | undefined {
    if (nodeOf(binding.supplier) !== this.#self || !takesStock(binding)) return undefined;
    const parts = parsePublicId(binding.listing, this.#self);
    return parts && recordKey('listings', parts.owner, parts.id);
  }

  /** Updates the grants for a contract's current state; true when they have changed. */
  note(held: HeldContract): boolean {
    const listing = this.listingOf(held);
    if (listing === undefined) return false;
    const { key } = held.contract;
    const { quantity } = grantOf(key, held.verdict);
    const due = Math.min(...holdsOf(held).map(({ validUntil }) => validUntil));
    const record = held.state.key;
    if (due === Infinity) this.#due.delete(record);
    else this.#due.set(record, due);
    const all = this.#grants.get(listing) ?? new Map<RecordKey, number>();
    const before = all.get(record) ?? 0;
    if (quantity > 0) all.set(record, quantity);
    else all.delete(record);
    if (all.size > 0) this.#grants.set(listing, all);
    else this.#grants.delete(listing);
    return before !== quantity;
  }

  /** Contracts with a hold that is over. */
  overdue(now: number, listing?: RecordKey): RecordKey[] {
    const of = listing === undefined ? undefined : this.#grants.get(listing);
    return [...this.#due].flatMap(([key, due]) =>
      due <= now && (listing === undefined || of?.has(key) === true) ? [key] : [],
    );
  }

  /** What each contract takes from a listing, with one of them as it is about to be. */
  grants(listing: RecordKey, change?: Grant): Grant[] {
    const all = new Map<string, number>(this.#grants.get(listing));
    if (change !== undefined) all.set(change.contract, change.quantity);
    return [...all].map(([contract, quantity]) => ({ contract, quantity }));
  }

  granted(listing: RecordKey): number {
    return granted(this.grants(listing));
  }

  /**
   * The listing's `available` after a change of one grant, as a part of the write that makes it. Throws `stock-short` and
   * `listing-ended`, both 409, when the grant grows beyond what there is.
   */
  draft(
    writer: Writer,
    key: RecordKey,
    listing: RecordState | undefined,
    change: Grant & { before: number },
  ): Draft[] {
    const quantity = listing?.view['quantity'];
    const all = this.grants(key, change);
    if (change.quantity > change.before) {
      if (!isLive(listing) || listing.view['status'] !== 'active')
        throw new AgrinetError(
          'listing-ended',
          'the listing is no longer active, so its stock can no longer be committed',
        );
      const rest = all.filter(({ contract }) => contract !== change.contract);
      if (typeof quantity === 'number' && !mayGrant(quantity, rest, change))
        throw new AgrinetError(
          'stock-short',
          `only ${available(quantity, rest)} of ${quantity} are still available; propose less, or wait for a hold to expire`,
        );
    }
    if (!isLive(listing) || typeof quantity !== 'number') return [];
    return [draftEdit(writer, key, 'public', listing, { available: available(quantity, all) })];
  }
}

/** The supplier's proposals that hold stock: not released, and not agreed to. */
export function holdsOf({
  contract,
  statements,
  verdict,
}: HeldContract): { hash: string; validUntil: number }[] {
  const claimed = new Set(verdict.claims.map(({ proposal }) => proposal));
  const agreed = new Set(
    statements.flatMap(({ transition: t }) =>
      t.kind === 'accept' && verdict.applied.includes(t.hash) ? [t.proposal] : [],
    ),
  );
  // What the buyer gives up is released at once; for anybody else the state machine requires an `expire` first.
  const declined = verdict.cancelledBy.some((party) => party !== contract.supplier);
  return statements.flatMap(({ transition: t }) =>
    t.kind === 'propose' &&
    t.party === contract.supplier &&
    t.validUntil !== undefined &&
    claimed.has(t.hash) &&
    !agreed.has(t.hash)
      ? [{ hash: t.hash, validUntil: declined ? 0 : t.validUntil }]
      : [],
  );
}
