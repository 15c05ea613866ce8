import { attachmentsOf } from '../protocols/market/attachment.ts';
import type { HlcTime } from '../protocols/feed/clock.ts';
import { isLive, type RecordState } from '../protocols/open-dialog/record.ts';
import { listedTimes } from '../protocols/open-dialog/record-times.ts';
import type { Channel } from '../protocols/wire/ids.ts';
import { isoDay } from '../protocols/wire/iso-time.ts';
import { numberKey, timeKey } from './keyspace.ts';
import { placeValue } from './place-cells.ts';

/**
 * The indexes of each collection, the narrowest first. Values are lower-case; the key ends with the record key, so equal values sort
 * by it.
 */
const TEXT_INDEXES: Readonly<Record<string, readonly string[]>> = {
  listings: ['productId', 'commodity', 'region', 'status', 'type'],
  prices: ['market', 'commodity'],
  contracts: ['listingId', 'requestId'],
  ratings: ['to'],
  'rating-notes': ['to'],
};

/** Values that most records have. They are in no index: a row of each would cost every record, and a list of them needs none. */
const COMMON_VALUES: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  listings: { status: 'active', type: 'offer' },
};

/** The fields of a filter that have indexes, the narrowest first, with their values as indexed. */
export function indexedValues(
  collection: string,
  fields: Readonly<Record<string, unknown>>,
): { readonly name: string; readonly value: string }[] {
  return (TEXT_INDEXES[collection] ?? []).flatMap((name) => {
    const field = fields[name];
    const value = typeof field === 'string' ? indexValue(field) : undefined;
    return value === undefined || value === COMMON_VALUES[collection]?.[name] ? [] : [{ name, value }];
  });
}

/** An index value as stored in keys. */
export function indexValue(text: string): string {
  // A split surrogate pair would not be read back from the key as it was written.
  return text.trim().toLowerCase().replaceAll('\0', ' ').slice(0, 128).toWellFormed();
}

/** The start of the keys of one value in one index. */
export function indexStart(name: string, value: string): string {
  return `${name}\0${value}\0`;
}

/**
 * Facts of a private channel from which a state is computed. They are ordered by what was signed alone: if an author writes more
 * than is read, all nodes must read the same ones, whenever they arrived.
 */
export const SIGNED_ORDER: ReadonlySet<string> = new Set(['transitions', 'rating-reasons']);

/** The position of a time among those of a private channel; the record key follows. */
export function placeInChannel([ms, counter]: HlcTime): string {
  return `${timeKey(ms)}${numberKey(counter)}\0`;
}

/** The position of a record of a private channel: by creation, as it was signed or as lists have it (`listedTimes`). */
export function placeAmongFacts(state: RecordState): string {
  const collection = collectionOf(state);
  const { created } = SIGNED_ORDER.has(collection) ? state : listedTimes(state);
  return `${collection}.channel\0${state.channel}\0${placeInChannel(created)}${state.key}`;
}

const collectionOf = ({ key }: RecordState): string => key.slice(0, key.indexOf('/'));

/** The position of a price's day among those of all: its own day, but not later than it was signed and arrived. */
function listedDay(state: RecordState, date: string): string {
  const latest = isoDay(listedTimes(state).updated[0]);
  return date < latest ? date : latest;
}

/** The coordinates of a listing, when it has valid ones. */
export function coordinatesOf(view: RecordState['view']): { lat: number; long: number } | undefined {
  const lat = Number(view['geoLat_'] ?? NaN);
  const long = Number(view['geoLong_'] ?? NaN);
  return Math.abs(lat) <= 90 && Math.abs(long) <= 180 ? { lat, long } : undefined;
}

/** The node of `user@peer-id`, as far as there is one: ratings, and notes on them, are found by whom they rate, and by that node. */
export function ratedNode(to: unknown): string {
  return indexValue(typeof to === 'string' ? to.slice(to.lastIndexOf('@') + 1) : '');
}

/** The start of the keys of records that name an attachment, of all collections together: in one channel, or in any. */
export function attachmentIndex(sha256: string, channel?: Channel): string {
  return channel === undefined ? `attachment\0${sha256} ` : indexStart('attachment', `${sha256} ${channel}`);
}

/** All index keys of a record in its current state; none when it is not live. */
export function indexKeys(state: RecordState | undefined): string[] {
  if (!isLive(state)) return [];
  const collection = collectionOf(state);
  const keys: string[] = [];
  const put = (name: string, value: string): number =>
    keys.push(indexStart(`${collection}.${name}`, value) + state.key);
  for (const { name, value } of indexedValues(collection, state.view)) put(name, value);
  if (collection === 'listings') {
    const at = coordinatesOf(state.view);
    if (at !== undefined) put('place', placeValue(at));
  }
  if (collection === 'ratings' || collection === 'rating-notes') put('node', ratedNode(state.view['to']));
  if (collection === 'prices' && typeof state.view['date'] === 'string')
    put('date', listedDay(state, state.view['date']));
  else put('updatedAt', timeKey(listedTimes(state).updated[0]));
  if (state.channel !== 'public') keys.push(placeAmongFacts(state));
  for (const { sha256 } of attachmentsOf(state))
    keys.push(attachmentIndex(sha256, state.channel) + state.key);
  if (Object.keys(state.conflicts).length > 0) put('conflicts', '');
  return keys;
}
