import { LIMITS } from '../wire/limits.ts';
import type { RecordKey } from '../wire/ids.ts';
import type { Scalar } from './change.ts';

/** What one field may hold. Lengths are UTF-16 code units; numbers are finite. No rule of validity involves several fields. */
export type FieldRule =
  | {
      readonly type: 'string';
      readonly max: number;
      readonly pattern?: RegExp;
      readonly oneOf?: readonly string[];
    }
  | { readonly type: 'number'; readonly min?: number; readonly max?: number }
  | { readonly type: 'boolean' };

/** A collection of op version 1. */
export interface Collection {
  readonly name: string;
  readonly kind: 'document' | 'fact';
  /** Schema version, part of the golden genesis change of documents. */
  readonly version: number;
  readonly fields: Readonly<Record<string, FieldRule>>;
  /** Further fields, finitely many, so that a record has a ceiling; `shown` is how the specification writes them. */
  readonly family?: {
    readonly shown: string;
    readonly names: ReadonlySet<string>;
    readonly rule: FieldRule;
    /** Each field is one writer's, whose place among the record's writers ends its name (hexadecimal); only that one writes it. */
    readonly perWriter?: true;
  };
  /** Writers of one private record at most; without it `LIMITS.participants`. */
  readonly writers?: number;
  /** Fields that the creation sets and no op deletes. Only public documents and facts have them. */
  readonly required: readonly string[];
  /** The channels in which its records may be. */
  readonly channels: 'public' | 'private' | 'both';
}

const text = (max = 256): FieldRule => ({ type: 'string', max });
const long: FieldRule = { type: 'string', max: 8192 };
const oneOf = (...values: string[]): FieldRule => ({ type: 'string', max: 64, oneOf: values });
const number: FieldRule = { type: 'number' };
const positive: FieldRule = { type: 'number', min: 0 };
const flag: FieldRule = { type: 'boolean' };
const coordinate: FieldRule = { type: 'string', max: 12, pattern: /^-?\d{1,3}\.\d{1,6}$/ };
const day: FieldRule = { type: 'string', max: 10, pattern: /^\d{4}-\d{2}-\d{2}$/ };

const goods = {
  title: text(),
  commodity: text(),
  productId: text(),
  category: text(),
  quantity: positive,
  unit: text(64),
  price: positive,
  currency: text(16),
};

/**
 * What a contract copies from a listing, as held by the node that began the contract; `heads` are those of the listing at that time.
 */
const asListed = {
  'listing.title': text(),
  'listing.commodity': text(),
  'listing.unit': text(64),
  'listing.price': positive,
  'listing.currency': text(16),
  'listing.location': text(),
  'listing.geoLat_': coordinate,
  'listing.geoLong_': coordinate,
  /** In hex, ascending, comma-separated. */
  'listing.heads': text(1040),
};

const listings: Collection = {
  name: 'listings',
  kind: 'document',
  version: 1,
  channels: 'public',
  required: ['type', 'status'],
  fields: {
    type: oneOf('offer', 'request'),
    status: text(32),
    ...goods,
    description: long,
    region: text(),
    location: text(),
    market: text(),
    geoLat_: coordinate,
    geoLong_: coordinate,
    priceType: text(64),
    priceDate: day,
    source: text(64),
    images: long,
    tags: long,
    notes: long,
    userId: text(128),
    availability: text(),
    /** The part of `quantity` that can still be committed; written by the supplier's node with each grant. */
    available: positive,
  },
};

/** Places of the writers of one private record, as names of fields have them. */
const WRITERS = Array.from({ length: LIMITS.participants }, (_, i) => i.toString(16));
/** A contract is between two nodes at most. */
const PARTIES = 2;
const CLAUSES = Array.from({ length: 32 }, (_, n) => String(n).padStart(2, '0'));

const contracts: Collection = {
  name: 'contracts',
  kind: 'document',
  version: 1,
  channels: 'both',
  writers: PARTIES,
  required: [],
  fields: {
    ...goods,
    status: text(32),
    type: text(64),
    variety: text(),
    buyerId: text(128),
    supplierId: text(128),
    producerId: text(128),
    listingId: text(160),
    requestId: text(160),
    amountNeeded: text(64),
    dateNeeded: text(32),
    pingRate: text(64),
    'deliveryWindow.start': text(32),
    'deliveryWindow.end': text(32),
    notes: long,
    location: text(),
    geoLat_: coordinate,
    geoLong_: coordinate,
    ...asListed,
  },
  /** The clauses: which writer began it, and its number. Either writer may change it. */
  family: {
    shown: 'terms.<0 or 1><00 to 31>',
    names: new Set(WRITERS.slice(0, PARTIES).flatMap((w) => CLAUSES.map((nn) => `terms.${w}${nn}`))),
    rule: text(1024),
  },
};

/** The Agrinet node template, flattened: nested objects become dotted names, lists become one JSON scalar. */
const nodes: Collection = {
  name: 'nodes',
  kind: 'document',
  version: 1,
  channels: 'public',
  required: ['nodeId'],
  fields: {
    nodeId: text(128),
    name: text(),
    region: text(),
    url: text(512),
    schemaVersion: number,
    'production.capabilities': long,
    'services.educational': long,
    'services.socialMedia': long,
    'services.extension': long,
    'services.financial.marketListings': long,
    'services.financial.grants': long,
    'services.marketing.onNetwork': long,
    'services.marketing.socialMediaSyndication': long,
    'services.messaging.enabled': flag,
    'services.messaging.levesonRatings': long,
    'reputation.leveson': number,
    interoperability: long,
    'support.compostingGrazing': long,
    'support.environmentalServices': long,
    'support.labor': long,
    'support.collectiveManagement': long,
  },
};

const conversations: Collection = {
  name: 'conversations',
  kind: 'document',
  version: 1,
  channels: 'private',
  required: [],
  fields: {
    title: text(),
    pinned: flag,
    metadata: long,
    archived: flag,
    /** Users as `user@peer-id`, a JSON list; fixed at creation. */
    participants: long,
  },
  /** What the users of each writer have read. */
  family: {
    shown: 'read.<0 to f>',
    names: new Set(WRITERS.map((w) => `read.${w}`)),
    rule: text(2048),
    perWriter: true,
  },
};

const prices: Collection = {
  name: 'prices',
  kind: 'fact',
  version: 1,
  channels: 'public',
  required: ['date', 'market', 'commodity', 'unit', 'currency', 'price', 'priceType'],
  fields: {
    date: day,
    admin1: text(),
    admin2: text(),
    market: text(),
    marketId: text(64),
    latitude: { type: 'number', min: -90, max: 90 },
    longitude: { type: 'number', min: -180, max: 180 },
    category: text(),
    commodity: text(),
    commodityId: text(64),
    unit: text(64),
    priceFlag: text(64),
    priceType: text(64),
    currency: text(16),
    price: positive,
    usdPrice: positive,
    /** At least so many pairs of parties, or sellers, lie behind a price that is the median of a cell. */
    count: { type: 'number', min: 1 },
    source: text(64),
    supersedes: text(64),
  },
};

/** A week that its author has published the cells of, or found none: it publishes no more of it. Equal facts are one: there is one for a week. */
const priceWeeks: Collection = {
  name: 'price-weeks',
  kind: 'fact',
  version: 1,
  channels: 'public',
  required: ['week'],
  /** Its Monday. */
  fields: { week: day },
};

const messages: Collection = {
  name: 'messages',
  kind: 'fact',
  version: 1,
  channels: 'private',
  required: ['from', 'type', 'content', 'sentAt'],
  fields: {
    from: text(128),
    to: text(128),
    type: oneOf('text', 'image', 'file', 'ping'),
    content: { type: 'string', max: 16_384 },
    attachments: long,
    sentAt: positive,
    nonce: text(64),
    /** Hashes of the newest messages its author had seen, comma-separated. */
    seen: { type: 'string', max: 2048 },
    supersedes: text(64),
  },
};

/** A step of a contract: a statement signed by itself, and those of the other party that it follows. */
const transitions: Collection = {
  name: 'transitions',
  kind: 'fact',
  version: 1,
  channels: 'private',
  required: ['statement'],
  fields: {
    /** The envelope, base64url. */
    statement: { type: 'string', max: 12_288, pattern: /^[A-Za-z0-9_-]+$/ },
    /** Envelopes of the other party, base64url, joined by dots. */
    carried: { type: 'string', max: 262_144, pattern: /^[A-Za-z0-9_.-]*$/ },
  },
};

/** News of a contract's progress; they commute. */
const pings: Collection = {
  name: 'pings',
  kind: 'fact',
  version: 1,
  channels: 'private',
  required: ['from', 'sentAt'],
  fields: {
    from: text(128),
    status: text(64),
    percentComplete: { type: 'number', min: 0, max: 100 },
    notes: long,
    attachments: long,
    sentAt: positive,
    nonce: text(64),
  },
};

/** An LBTAS rating with the receipt of the settled contract that entitles to it. */
const ratings: Collection = {
  name: 'ratings',
  kind: 'fact',
  version: 1,
  channels: 'public',
  required: ['from', 'to', 'score', 'receipt', 'ratedAt'],
  fields: {
    from: text(192),
    to: text(192),
    score: { type: 'number', min: -1, max: 4 },
    comment: long,
    tags: long,
    /** Both parties' `settle` statements, base64url, joined by a dot. */
    receipt: { type: 'string', max: 24_576, pattern: /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/ },
    ratedAt: positive,
    supersedes: text(64),
  },
};

/** A node's statement about a rating of its own side or of others. No text: it would describe somebody in public. */
const ratingNotes: Collection = {
  name: 'rating-notes',
  kind: 'fact',
  version: 1,
  channels: 'public',
  required: ['rating', 'to', 'kind', 'by', 'why', 'notedAt'],
  fields: {
    /** Record key of the rating, and whom that rates: notes are found by it. */
    rating: text(),
    to: text(192),
    kind: oneOf('contest', 'dismiss', 'uphold'),
    by: text(192),
    why: text(64),
    notedAt: positive,
    supersedes: text(64),
  },
};

/** Why a party gave the other one -1: in the channel of the contract and nowhere else. */
const ratingReasons: Collection = {
  name: 'rating-reasons',
  kind: 'fact',
  version: 1,
  channels: 'private',
  required: ['from', 'reason', 'givenAt'],
  fields: { from: text(192), reason: long, givenAt: positive },
};

/** A published trend report; its inputs' digest lets a peer recompute it. */
const trends: Collection = {
  name: 'trends',
  kind: 'fact',
  version: 1,
  channels: 'public',
  required: ['region', 'inputs', 'body', 'publishedAt'],
  fields: {
    asOf: day,
    region: text(),
    inputs: { type: 'string', max: 64, pattern: /^[0-9a-f]{64}$/ },
    body: { type: 'string', max: 65_536 },
    publishedAt: positive,
  },
};

/** The head of this node's audit log: what was logged before cannot be changed or cut off without being noticed. */
const auditHeads: Collection = {
  name: 'audit-heads',
  kind: 'fact',
  version: 1,
  channels: 'public',
  required: ['head', 'place', 'at'],
  fields: {
    head: { type: 'string', max: 64, pattern: /^[0-9a-f]{64}$/ },
    place: { type: 'string', max: 22, pattern: /^[A-Za-z0-9_-]{22}$/ },
    at: positive,
  },
};

/** Every collection of op version 1; an op of another one is stored and relayed and waits for an upgrade. */
export const COLLECTIONS: Readonly<Record<string, Collection>> = Object.freeze(
  Object.assign(Object.create(null) as Record<string, Collection>, {
    listings,
    contracts,
    nodes,
    conversations,
    prices,
    messages,
    transitions,
    pings,
    ratings,
    trends,
    [ratingNotes.name]: ratingNotes,
    [ratingReasons.name]: ratingReasons,
    [auditHeads.name]: auditHeads,
    [priceWeeks.name]: priceWeeks,
  }),
);

/** The collection that a record's key names. */
export function collectionOf(key: RecordKey): Collection | undefined {
  return COLLECTIONS[key.slice(0, key.indexOf('/'))];
}

/** The newest op version that ops are evaluated by here; those of a later one wait. */
export const OP_VERSION = 1;

/** The version that nodes show one another: raised with any change to a collection. */
export const SCHEMA_VERSION = 1;

/** The rule of a field, or undefined for a field the collection does not have. */
export function fieldRule(collection: Collection, field: string): FieldRule | undefined {
  if (Object.hasOwn(collection.fields, field)) return collection.fields[field];
  return collection.family?.names.has(field) === true ? collection.family.rule : undefined;
}

/** Whether a field is another writer's; `place` is that of the author among the record's writers. */
export function isFieldOfOther(collection: Collection, field: string, place: number): boolean {
  const { family } = collection;
  return family?.perWriter === true && family.names.has(field) && !field.endsWith(`.${place.toString(16)}`);
}

/** Why a value is not valid for its field, by itself; undefined when it is. */
export function valueProblem(rule: FieldRule, value: Scalar): string | undefined {
  switch (rule.type) {
    case 'string':
      if (typeof value !== 'string') return 'must be text';
      // Text decoders swallow a leading byte order mark, and with it the one encoding of a value.
      if (value.startsWith('\uFEFF')) return 'must not begin with a byte order mark';
      if (!value.isWellFormed()) return 'must be well-formed Unicode';
      if (value.length > rule.max) return `must have at most ${rule.max} characters`;
      if (rule.oneOf !== undefined && !rule.oneOf.includes(value))
        return `must be one of ${rule.oneOf.join(', ')}`;
      if (rule.pattern !== undefined && !rule.pattern.test(value)) return `must match ${rule.pattern.source}`;
      return undefined;
    case 'number':
      if (typeof value !== 'number' || !Number.isFinite(value)) return 'must be a finite number';
      if (rule.min !== undefined && value < rule.min) return `must be at least ${rule.min}`;
      if (rule.max !== undefined && value > rule.max) return `must be at most ${rule.max}`;
      return undefined;
    case 'boolean':
      return typeof value === 'boolean' ? undefined : 'must be true or false';
  }
}
