const sublevel = (prefix: string, key: string, value: string) => ({ prefix, key, value });

/**
 * Every sublevel of the database: prefix, key and value. A prefix is never reused for another purpose. Values of `checked` sublevels
 * carry a checksum (see values.ts): they are sources of truth or served as such.
 */
export const KEYSPACE = {
  meta: sublevel('m', 'name', 'JSON: schema version, incarnation'),
  feeds: sublevel('f', 'feed number', 'author, channel, epoch, head, covered epochs, fork'),
  entries: sublevel('e', 'feed number, seq', 'entry bytes as signed, and when they arrived'),
  records: sublevel('r', 'record key', 'state and view of a record'),
  recordOps: sublevel(
    'o',
    'record key, feed number, seq, index',
    'a reference into entries: empty, or the number of a change that followed all before it',
  ),
  past: sublevel(
    '8',
    'record key, hash of a change or number of a feed',
    'an applied change, for evaluating late ones; how far the feed was read for them',
  ),
  verdicts: sublevel('v', 'feed number, seq, index', 'why an op is rejected or pending'),
  awaiting: sublevel('l', 'what is missing, record key', 'empty: records to evaluate again when it arrives'),
  digests: sublevel('d', 'channel, owner, collection', 'LtHash state and count'),
  index: sublevel('i', 'index name, value, record key', 'empty'),
  changes: sublevel('c', 'local change number', 'record key'),
  forks: sublevel('k', 'feed number', 'equivocation proof'),
  erasures: sublevel(
    'y',
    'author, channel, epoch, seq, id',
    "the author's signed erasure of ops of the entry",
  ),
  checkpoints: sublevel('C', 'author, epoch, seq, index', 'checkpoint that an author has signed'),
  fetched: sublevel(
    'N',
    'author, checkpoint, list, chunk number or `hashes`',
    'a chunk of a snapshot that is being fetched; the hashes of all of them',
  ),
  floors: sublevel(
    'F',
    'm and an owner; r, an owner, a slot and a record; c, an owner, a slot and a number; e, an owner, a slot, an epoch and seq',
    'which checkpoint is in effect, and which is to be; where a record begins; a chunk of the snapshot; ops that stay as evidence',
  ),
  registry: sublevel('g', 'peer id', 'registered node'),
  journal: sublevel('j', 'commit number', "empty: reveals holes in LevelDB's log"),
  httpNodes: sublevel('h', 'origin', 'node without an identity: pending, or an old back end read over HTTP'),
  nonces: sublevel('z', 'caller, nonce', 'until when a registration statement cannot be used again'),
  sources: sublevel('u', 'node id', 'progress of pulls over HTTP; last hash'),
  legacy: sublevel('x', 'origin, collection, id', 'item of an old back end; in no feed and no digest'),
  apiKeys: sublevel('p', 'key id', 'keyed hash, owner, scopes, expiry'),
  sessions: sublevel('A', 'hash of a token', 'who is signed in, since when, and until when'),
  jobs: sublevel('q', 'job id', 'job and its state'),
  users: sublevel('6', 'user id', "the node's own directory: name, role, phone, notice preferences"),
  notifications: sublevel('n', 'user, notification id', 'message, read, time'),
  pendingNotices: sublevel(
    '9',
    'c and a number; d, a time and a name; or w and a contract',
    'a change whose notices have yet to be written; a notice due at that time; steps that wait for those they follow',
  ),
  sentNotices: sublevel(
    '0',
    'hash of an event and a user',
    'when the user was notified of the event, which happens once',
  ),
  sms: sublevel(
    'S',
    'd, a time and a notification id; c, a user and a code; n and a user; or m, a time and a message id',
    'an SMS to be sent, or checked, at that time; the proposal that a code answers; what the user was sent on its day; a received SMS',
  ),
  wants: sublevel(
    'W',
    'w and an id; c and a number; p; or t and a user',
    'a saved search; listings that have yet to be matched; the number up to which this was done; of how many the user was told on a day',
  ),
  events: sublevel('s', 'event number', 'public event, kept for clients that resume'),
  privateEvents: sublevel('5', 'event number', 'private event, numbered separately'),
  audit: sublevel('t', 'line number', 'audit line, chained by hashes'),
  idempotency: sublevel('w', 'caller, Idempotency-Key', 'the answer, and until when it is kept'),
  reliability: sublevel('b', 'node id', 'outcomes of its syncs, and how much invalid data it sent'),
  fences: sublevel('1', 'node id', 'the geofence for records from that node'),
  addresses: sublevel('a', 'peer id', 'address book entry'),
  forgotten: sublevel(
    '4',
    'feed number; followed by seq, an entry that is kept',
    'how far the feed was held, and when it was forgotten; the ops of the entry that have effect',
  ),
  usage: sublevel('3', 'feed number', 'bytes of its entries; pending ops of it, and their bytes'),
  search: sublevel(
    '7',
    'segment number and name of a row; manifest',
    'words of listings, with their change numbers; which segments exist, and up to which change',
  ),
  attachments: sublevel(
    'B',
    'b and a hash; h, a hash and a channel; e, a time and a hash; or g and a hash',
    'bytes; for whom they are held; an upload that has to be named by then; one that a record names no more',
  ),
  outbox: sublevel(
    '2',
    'full key of a row, or a table and the key of its item',
    'what the DynamoDB mirror has yet to write',
  ),
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
 * Numbers as fixed-width hex, so that keys sort as numbers do. A number with more digits would sort wrongly: it is a `RangeError`,
 * and numbers that others can sign are bounded before they become a key.
 */
export function numberKey(value: number, digits = 8): string {
  const text = value.toString(16);
  if (!Number.isSafeInteger(value) || value < 0 || text.length > digits)
    throw new RangeError(`${value} has no place in a key of ${digits} digits`);
  return text.padStart(digits, '0');
}

/** A time in milliseconds since 1970 as stored in keys, for every safe integer. */
export function timeKey(ms: number): string {
  return numberKey(ms, 14);
}
