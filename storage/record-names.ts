/**
 * Names of fields as stored in rows of records: by their index here, starting with 1. A name is only ever added at the end, and none
 * is removed: rows on disk use these numbers. A field that is not among them is stored by name.
 */
const NAMES: readonly string[] = [
  // listings and contracts
  'type status title commodity productId category quantity unit price currency description region location',
  'market geoLat_ geoLong_ priceType priceDate source images tags notes userId availability available variety',
  'buyerId supplierId producerId listingId requestId amountNeeded dateNeeded pingRate deliveryWindow.start',
  'deliveryWindow.end listing.title listing.commodity listing.unit listing.price listing.currency',
  'listing.location listing.geoLat_ listing.geoLong_ listing.heads',
  // prices
  'date admin1 admin2 marketId latitude longitude commodityId priceFlag usdPrice supersedes',
  // conversations, messages, pings, transitions
  'pinned metadata archived participants from to content attachments sentAt nonce seen percentComplete',
  'statement carried',
  // ratings, trends, audit heads, profiles
  'score comment receipt ratedAt asOf inputs body publishedAt head place at',
  'nodeId name url schemaVersion interoperability',
  // prices from trade
  'count week',
].flatMap((line) => line.split(' '));

const NUMBERS: ReadonlyMap<string, number> = new Map(NAMES.map((name, i) => [name, i + 1]));

/** 0 for one that has none. */
export function numberOfName(name: string): number {
  return NUMBERS.get(name) ?? 0;
}

export function nameOfNumber(no: number): string | undefined {
  return NAMES[no - 1];
}
