import { AgrinetError } from '../../errors.ts';
import type { PeerId } from '../../wire/identity.ts';
import { recordKey, type RecordKey } from '../../wire/ids.ts';
import type { Catalogue } from '../catalogue.ts';
import { scalarsOf } from '../record-fields.ts';
import { available } from '../contract/stock.ts';
import type { KeyedQueue } from '../../serial-queue.ts';
import type { GrantedStock } from './granted-stock.ts';
import type { Body } from './types.ts';

/**
 * The catalogue for this node's clients: `available` is written by the node, and no listing offers less than what is granted from
 * it. Adds `quantity-granted` (409) to what changing a listing may throw.
 */
export function stockedCatalogue(
  catalogue: Catalogue,
  parts: {
    readonly self: PeerId;
    readonly stock: GrantedStock;
    readonly locks: KeyedQueue;
    readonly ready: () => Promise<void>;
  },
): Catalogue {
  const { self, stock, locks, ready } = parts;

  const withoutAvailable = (body: Body): Body =>
    Object.hasOwn(body, 'available')
      ? Object.fromEntries(Object.entries(body).filter(([field]) => field !== 'available'))
      : body;

  /**
   * The body with the quantity then remaining; under the listing's lock, which everything that changes it shares, because grants
   * must not change meanwhile.
   */
  function stocked(key: RecordKey, body: Body, replaces: boolean): Body {
    const fields = withoutAvailable(body);
    const promised = stock.granted(key);
    if (promised === 0 && !replaces && !Object.hasOwn(fields, 'quantity')) return fields;
    const named = replaces || Object.hasOwn(fields, 'quantity');
    const quantity = scalarsOf('listings', { quantity: fields['quantity'] ?? null })['quantity'];
    if (!named) return fields;
    if (promised > 0 && !(typeof quantity === 'number' && quantity >= promised))
      throw new AgrinetError(
        'quantity-granted',
        `${promised} of this listing are committed in contracts; its quantity cannot be lower`,
      );
    if (promised === 0) return replaces ? fields : { ...fields, available: null };
    return { ...fields, available: available(Number(quantity), stock.grants(key)) };
  }

  return {
    ...catalogue,
    createListing: (body) => catalogue.createListing(withoutAvailable(body)),
    async putListing(id, body) {
      await ready();
      const key = recordKey('listings', self, id);
      return locks.share(key, () => catalogue.putListing(id, stocked(key, body, true)));
    },
    async putPriceListing(id, body) {
      await ready();
      const key = recordKey('listings', self, id);
      return locks.share(key, () => catalogue.putPriceListing(id, stocked(key, body, false)));
    },
    async patch(key, body) {
      if (!key.startsWith('listings/')) return catalogue.patch(key, body);
      await ready();
      return locks.share(key, () => catalogue.patch(key, stocked(key, body, false)));
    },
  };
}
