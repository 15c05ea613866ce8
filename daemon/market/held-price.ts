import type { HeldPrice } from '../../protocols/market/trend-snapshot.ts';
import type { RecordState } from '../../protocols/open-dialog/record.ts';
import { priceKindOf } from '../../protocols/market/price-kind.ts';
import { parseRecordKey } from '../../protocols/wire/ids.ts';

/** A price as trends read it; undefined for a record that is not a price of a day, or claims to be of a cell and is not. */
export function heldPrice({ key, view, created }: RecordState): HeldPrice | undefined {
  const text = (field: string): string => {
    const value = view[field];
    return typeof value === 'string' ? value : '';
  };
  const { price, date } = view;
  const parts = parseRecordKey(key);
  if (parts === undefined || typeof price !== 'number' || typeof date !== 'string') return undefined;
  if (Number.isNaN(Date.parse(date))) return undefined;
  const kind = priceKindOf(view, parts.owner);
  if (kind === undefined) return undefined;
  const supersedes = text('supersedes');
  return {
    id: parts.id,
    owner: parts.owner,
    at: created,
    date,
    commodity: text('commodity'),
    market: text('market'),
    region: text('admin1'),
    unit: text('unit'),
    currency: text('currency'),
    priceType: text('priceType'),
    kind,
    price,
    ...(supersedes === '' ? {} : { supersedes }),
  };
}
