import { z } from '@hono/zod-openapi';
import { Attachment } from './attachment-json.ts';
import { JsonValue, number, ScalarOrNull, text, texts, timestamp } from './schemas.ts';

/** Why writes made at the same time are not merged yet; until then the fields are those of before. */
export const Unmerged = z.enum(['in-progress', 'deadline', 'failed']).openapi('Unmerged', {
  description:
    'Why concurrent writes have not been merged yet. Until they are, the record shows its previous values.',
});
const ConflictingValue = z
  .object({
    value: ScalarOrNull,
    op: text('ID of the operation that wrote it, `<counter>@<actor>`.'),
  })
  .openapi('ConflictingValue');
export const conflicts = z.record(z.string(), z.array(ConflictingValue)).optional().openapi({
  description: 'Values written concurrently, by field; the first one is shown. Absent without conflicts.',
});

/** The fields of every record besides its own. */
const record = {
  id: text('`<owner>.<local id>`.'),
  owner: text('Peer ID of the node that owns the record.'),
  createdAt: timestamp('When the record was created.'),
  updatedAt: timestamp('When the record was last changed.'),
  conflicts,
  unmerged: Unmerged.optional(),
};

const goods = {
  title: text('Short title.').optional(),
  commodity: text('Name of the commodity, such as `Maize`.').optional(),
  productId: text('The seller’s own product ID.').optional(),
  category: text('Category of the commodity.').optional(),
  quantity: number('Quantity, in `unit`.').optional(),
  unit: text('Unit of measure, such as `kg` or `90 KG`.').optional(),
  price: number('Price per `unit`, in `currency`.').optional(),
  currency: text('ISO 4217 currency code, such as `KES`.').optional(),
};

const ListingType = z.enum(['offer', 'request']);
export const FenceReason = z.enum(['outside-fence', 'no-coordinates']).openapi('FenceReason');

export const Listing = z
  .object({
    listingId: text('Same as `id`.'),
    type: ListingType,
    status: text('Status set by the owner; `active` by default.'),
    ...goods,
    description: text('Description.').optional(),
    region: text('Region.').optional(),
    location: text('Place name.').optional(),
    market: text('Name of the market.').optional(),
    geoLat_: text('Latitude in degrees, as a decimal string.').optional(),
    geoLong_: text('Longitude in degrees, as a decimal string.').optional(),
    coordinates: text('`geoLat_<lat>,geoLong_<long>`; present when both are set.').optional(),
    priceType: text('Kind of price, such as `Retail` or `Wholesale`.').optional(),
    priceDate: text(
      'Date on which the price was observed, `YYYY-MM-DD`, at most a day ahead; `price` must then be above 0.',
    ).optional(),
    source: text('Where the data comes from.').optional(),
    images: texts('Picture URLs. In a request, an upload is named by `{"sha256": …, "name": …}`.').optional(),
    attachments: z.array(Attachment).optional().openapi({
      description: 'Those pictures that are stored on the federation’s nodes.',
    }),
    tags: texts('Tags.').optional(),
    notes: text('Notes.').optional(),
    userId: text('User who created the listing.').optional(),
    availability: text('Availability, in the owner’s words.').optional(),
    available: number('Quantity not yet committed to a contract, in `unit`.').optional(),
    outside: FenceReason.optional().openapi({
      description: 'Why the listing is outside the geofence of this node; only with `fence=off`.',
    }),
    ...record,
  })
  .openapi('Listing');

export const Price = z
  .object({
    priceId: text('Same as `id`.'),
    date: text('Date of the observation, `YYYY-MM-DD`.'),
    admin1: text('First-level administrative division.').optional(),
    admin2: text('Second-level administrative division.').optional(),
    market: text('Name of the market.'),
    marketId: text('ID of the market in the source.').optional(),
    latitude: number('Latitude of the market in degrees.').optional(),
    longitude: number('Longitude of the market in degrees.').optional(),
    category: text('Category of the commodity.').optional(),
    commodity: text('Name of the commodity.'),
    commodityId: text('ID of the commodity in the source.').optional(),
    unit: text('Unit of measure, such as `KG` or `90 KG`.'),
    priceFlag: text('`actual`, `aggregate` or `forecast`, as the source marks it.').optional(),
    priceType: text('`Retail`, `Wholesale` or another kind of price.'),
    currency: text('ISO 4217 currency code.'),
    price: number('Price per `unit`, in `currency`.'),
    usdPrice: number('Price per `unit`, in US dollars.').optional(),
    count: number(
      'Of `agrinet-trades` and `agrinet-asking`: at least so many pairs of parties, or sellers, lie behind it.',
    ).optional(),
    source: text(
      'Where the price comes from; `agrinet-trades` and `agrinet-asking` are a node’s own medians of a week’s trades and listings.',
    ).optional(),
    supersedes: text('ID of the price that this one corrects.').optional(),
    ...record,
  })
  .openapi('Price');

/** When delivery is due. */
export const DeliveryWindow = z
  .object({
    start: text('First day of delivery, ISO 8601.').optional(),
    end: text('Last day of delivery, ISO 8601.').optional(),
  })
  .openapi('DeliveryWindow', { description: 'When delivery is due.' });

/** The listing's values when the contract was begun. */
export const ListedTerms = z
  .object({
    title: goods.title,
    commodity: goods.commodity,
    unit: goods.unit,
    price: goods.price,
    currency: goods.currency,
    location: text('Place name, market or region.').optional(),
    geoLat_: text('Latitude in degrees, as a decimal string.').optional(),
    geoLong_: text('Longitude in degrees, as a decimal string.').optional(),
    heads: texts('Hashes of the changes that the listing consisted of.'),
  })
  .openapi('ListedTerms', {
    description:
      'The listing as held by the node that created the contract. Both parties sign it with the terms.',
  });

/** A contract’s document; whatever has been agreed is in `Contract`. */
export const contractFields = {
  contractId: text('Same as `id`.'),
  ...goods,
  type: text('Type of produce or contract.').optional(),
  variety: text('Variety of the produce.').optional(),
  buyerId: text('Buyer, `user@peer-id`.').optional(),
  supplierId: text('Supplier, `user@peer-id`.').optional(),
  producerId: text('Producer; set by clients of the old back end.').optional(),
  listingId: text('Listing that the contract is about.').optional(),
  requestId: text('Open request that the contract answers.').optional(),
  amountNeeded: text('Amount needed; set by clients of the old back end.').optional(),
  dateNeeded: text('Date needed; set by clients of the old back end.').optional(),
  pingRate: text('How often progress is to be reported.').optional(),
  location: text('Place of the goods.').optional(),
  geoLat_: text('Latitude in degrees, as a decimal string.').optional(),
  geoLong_: text('Longitude in degrees, as a decimal string.').optional(),
  listing: ListedTerms.optional(),
  notes: text('Notes.').optional(),
  deliveryWindow: DeliveryWindow.optional(),
  terms: z.array(JsonValue).openapi({ description: 'Clauses of the contract, usually texts.' }),
  ...record,
};

/** An open request as every node exports it. */
export const ContractRequest = z
  .object({ ...contractFields, status: text('Status of the request.').optional() })
  .openapi('ContractRequest');

/** A trend snapshot as a record. */
export const TrendRecord = z
  .object({
    trendId: text('Same as `id`.'),
    asOf: text('Newest day covered by the prices, `YYYY-MM-DD`.').optional(),
    region: text('Region covered; `global` for all.'),
    inputs: text('SHA-256 of the input prices, hex.'),
    body: text('The report as canonical JSON (RFC 8785), exactly as signed.'),
    publishedAt: number('When it was published, in milliseconds since the Unix epoch.'),
    ...record,
  })
  .openapi('TrendRecord');

/** A record that was deleted since the cursor of an export. */
export const DeletedRecord = z
  .object({
    id: text('`<owner>.<local id>`.'),
    listingId: text('Same as `id`, for a listing.').optional(),
    contractId: text('Same as `id`, for a contract.').optional(),
    trendId: text('Same as `id`, for a trend snapshot.').optional(),
    owner: text('Peer ID of the node that owned the record.'),
    deleted: z.literal(true),
  })
  .openapi('DeletedRecord');
