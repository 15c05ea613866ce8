import type { Patch } from '../ledger/drafts.ts';
import type { Scalar } from '../open-dialog/change.ts';
import type { RecordState } from '../open-dialog/record.ts';
import type { PeerId } from '../wire/identity.ts';
import type { RecordKey } from '../wire/ids.ts';

/** A write that is on disk. */
export interface Saved {
  readonly state: RecordState;
  readonly created: boolean;
  readonly changed: boolean;
}

/** What HTTP clients do to this node's own records. Every call resolves when the write is on disk. */
export interface Catalogue {
  /** Throws `fields-invalid`, `id-invalid`, `listing-exists`. */
  createListing(body: Readonly<Record<string, unknown>>): Promise<Saved>;
  /** Creates or replaces; an ended one throws `record-ended`. */
  putListing(id: string, body: Readonly<Record<string, unknown>>): Promise<Saved>;
  /**
   * Creates a listing from an observed price, or updates it for an equal or newer `priceDate`; an older one changes nothing. What
   * its seller has set besides the price (quantity, notes, status) is kept. Throws `fields-invalid`, `id-invalid`, `record-ended`.
   */
  putPriceListing(id: string, body: Readonly<Record<string, unknown>>): Promise<Saved>;
  patch(key: RecordKey, body: Readonly<Record<string, unknown>>): Promise<Saved>;
  /** Throws `not-found`. */
  remove(key: RecordKey): Promise<void>;
  /** Throws `fields-invalid`, also for a price of 0 and for a day that is more than one ahead. */
  addPrice(body: Readonly<Record<string, unknown>>): Promise<Saved>;
  putProfile(fields: Patch): Promise<Saved>;
  /**
   * The document of a contract: in a private channel of these nodes, or public without any. With a local `id` that is used for this
   * request only, or with a `nonce` (16 bytes), a repeated call finds the existing contract and changes nothing.
   */
  createContract(
    body: Readonly<Record<string, unknown>>,
    parties: readonly PeerId[],
    id?: string,
    nonce?: Uint8Array,
  ): Promise<Saved>;
  resolveConflict(key: RecordKey, field: string, value: Scalar): Promise<Saved>;
}
