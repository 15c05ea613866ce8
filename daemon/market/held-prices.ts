import type { HeldPrices } from '../../api/ports/trends.ts';
import type { HeldPrice } from '../../protocols/market/trend-snapshot.ts';
import type { RecordState } from '../../protocols/open-dialog/record.ts';
import { parseRecordKey } from '../../protocols/wire/ids.ts';
import type { Reader } from '../../storage/reader.ts';

/** Prices kept for trends, about 200 bytes each: the newest by date. What is beyond, and what cannot be read, is not looked at, and said. */
const MOST = 250_000;

/** The prices of this node as trends read them: read once, and again only when one has come or gone. */
export function createHeldPrices(
  reader: Pick<Reader, 'all'>,
  priceDigest: () => string,
  most = MOST,
): () => Promise<HeldPrices> {
  let kept: { readonly state: string; readonly made: Promise<HeldPrices> } | undefined;
  return () => {
    const state = priceDigest();
    if (kept?.state === state) return kept.made;
    const made = read(reader, state, most);
    const reading = { state, made };
    kept = reading;
    made.catch(() => {
      if (kept === reading) kept = undefined;
    });
    return made;
  };
}

async function read(reader: Pick<Reader, 'all'>, state: string, most: number): Promise<HeldPrices> {
  let prices: HeldPrice[] = [];
  let leftOut = 0;
  const cut = (): void => {
    if (prices.length <= most) return;
    prices.sort((a, b) => (a.date === b.date ? (a.id < b.id ? -1 : 1) : a.date > b.date ? -1 : 1));
    leftOut += prices.length - most;
    prices = prices.slice(0, most);
  };
  // The same few names stand in every price: one copy of each is enough.
  const names = new Map<string, string>();
  const once = (text: string): string => {
    const known = names.get(text);
    if (known !== undefined) return known;
    if (names.size < most) names.set(text, text);
    return text;
  };
  for await (const record of reader.all('prices', () => void leftOut++)) {
    const price = heldPrice(record, once);
    if (price !== undefined) prices.push(price);
    if (prices.length >= 2 * most) cut();
  }
  cut();
  return { prices, leftOut, state };
}

function heldPrice(
  { key, view, created }: RecordState,
  once: (text: string) => string,
): HeldPrice | undefined {
  const text = (field: string): string => {
    const value = view[field];
    return typeof value === 'string' ? once(value) : '';
  };
  const { price, date } = view;
  const parts = parseRecordKey(key);
  if (parts === undefined || typeof price !== 'number' || typeof date !== 'string') return undefined;
  if (Number.isNaN(Date.parse(date))) return undefined;
  const supersedes = text('supersedes');
  return {
    id: parts.id,
    owner: once(parts.owner),
    at: created,
    date: once(date),
    commodity: text('commodity'),
    market: text('market'),
    region: text('admin1'),
    unit: text('unit'),
    currency: text('currency'),
    priceType: text('priceType'),
    price,
    ...(supersedes === '' ? {} : { supersedes }),
  };
}
