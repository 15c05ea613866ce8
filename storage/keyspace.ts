/**
 * Every sublevel of the database: prefix, key and value. A prefix is never used again for something else.
 * Values of `checked` sublevels carry a checksum (see values.ts): they are the truth or served as such.
 */
export const KEYSPACE = {
  meta: { prefix: 'm', key: 'name', value: 'JSON: schema version, incarnation' },
  feeds: { prefix: 'f', key: 'feed number', value: 'author, channel, epoch, head, covered epochs, fork' },
  entries: { prefix: 'e', key: 'feed number, seq', value: 'entry bytes as signed, and when they came' },
  records: { prefix: 'r', key: 'record key', value: 'state and view of a record' },
  recordOps: { prefix: 'o', key: 'record key, feed number, seq, index', value: 'empty: points into entries' },
  verdicts: { prefix: 'v', key: 'feed number, seq, index', value: 'why an op is rejected or pending' },
  awaiting: {
    prefix: 'l',
    key: 'what is missing, record key',
    value: 'empty: records to judge again when it comes',
  },
  digests: { prefix: 'd', key: 'channel, owner, collection', value: 'LtHash state and count' },
  index: { prefix: 'i', key: 'index name, value, record key', value: 'empty' },
  changes: { prefix: 'c', key: 'local change number', value: 'record key' },
  forks: { prefix: 'k', key: 'feed number', value: 'equivocation proof' },
  erasures: {
    prefix: 'y',
    key: 'author, channel, epoch, seq, id',
    value: "author's word that ops of the entry are erased",
  },
  registry: { prefix: 'g', key: 'peer id', value: 'registered node' },
  journal: { prefix: 'j', key: 'commit number', value: "empty: shows holes in LevelDB's log" },
  httpNodes: {
    prefix: 'h',
    key: 'origin',
    value: 'node without an identity: pending, or old and read over HTTP only',
  },
  nonces: { prefix: 'z', key: 'caller, nonce', value: 'until when a registration cannot be used again' },
  sources: { prefix: 'u', key: 'node id', value: 'how far a pull over HTTP has come; last hash' },
  legacy: {
    prefix: 'x',
    key: 'origin, collection, id',
    value: 'item of an old node; in no feed and no digest',
  },
  apiKeys: { prefix: 'p', key: 'key id', value: 'keyed hash, owner, scopes, expiry' },
  jobs: { prefix: 'q', key: 'job id', value: 'job and its state' },
  notifications: { prefix: 'n', key: 'user, notification id', value: 'message, read, time' },
  events: { prefix: 's', key: 'event number', value: 'event for everybody, kept for those who resume' },
  privateEvents: { prefix: '5', key: 'event number', value: 'event for some only, numbered apart' },
  audit: { prefix: 't', key: 'line number', value: 'audit line, chained by hashes' },
  idempotency: { prefix: 'w', key: 'caller, Idempotency-Key', value: 'answer given, until when' },
  reliability: {
    prefix: 'b',
    key: 'node id',
    value: 'how its syncs ended, and what it sent that was invalid',
  },
  fences: { prefix: '1', key: 'node id', value: 'the geofence for what comes from that node' },
  addresses: { prefix: 'a', key: 'peer id', value: 'address book entry' },
  forgotten: {
    prefix: '4',
    key: 'feed number; with seq behind it, an entry that is kept',
    value: 'how far the feed was held, and when it was forgotten; the ops of the entry that have effect',
  },
  usage: {
    prefix: '3',
    key: 'feed number',
    value: 'bytes of its entries; ops of it that wait, and their bytes',
  },
  outbox: {
    prefix: '2',
    key: 'full key of a row, or a table and the key of its item',
    value: 'what the DynamoDB mirror has still to bring out',
  },
} as const;

export type SublevelName = keyof typeof KEYSPACE;

const BY_PREFIX: ReadonlyMap<string, SublevelName> = new Map(
  Object.entries(KEYSPACE).map(([name, { prefix }]) => [prefix, name as SublevelName]),
);

/** A batch operation over the whole database. */
export type BatchOp = PutOp | { readonly type: 'del'; readonly key: string };

export interface PutOp {
  readonly type: 'put';
  readonly key: string;
  readonly value: Uint8Array;
}

/** The full key in the database. `!` and `"` bound a sublevel's range. */
export function fullKey(name: SublevelName, key: string): string {
  return `${KEYSPACE[name].prefix}!${key}`;
}

/** The sublevel of a full key. */
export function sublevelOf(full: string): SublevelName | undefined {
  return full[1] === '!' ? BY_PREFIX.get(full.slice(0, 1)) : undefined;
}

/** The key inside its sublevel. */
export function innerKey(full: string): string {
  return full.slice(2);
}

/** The range of a sublevel, or of the keys in it that begin with `start`. */
export function range(name: SublevelName, start = ''): { gte: string; lt: string } {
  return {
    gte: fullKey(name, start),
    lt: start === '' ? `${KEYSPACE[name].prefix}"` : `${fullKey(name, start)}\u{10ffff}`,
  };
}

/**
 * Numbers as fixed-width hex, so that keys sort as numbers do. One that has no place in so many digits would stand anywhere: it is a
 * `RangeError`, and what others can sign is bounded before it becomes a key.
 */
export function numberKey(value: number, digits = 8): string {
  const text = value.toString(16);
  if (!Number.isSafeInteger(value) || value < 0 || text.length > digits)
    throw new RangeError(`${value} has no place in a key of ${digits} digits`);
  return text.padStart(digits, '0');
}

/** A time in milliseconds since 1970 as it stands in keys: every safe integer has its place. */
export function timeKey(ms: number): string {
  return numberKey(ms, 14);
}
