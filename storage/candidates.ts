import type { RecordKey } from '../protocols/wire/ids.ts';
import { IndexCursor, type KeySource } from './index-cursor.ts';
import { indexedValues, indexStart } from './indexes.ts';
import { fullKey } from './keyspace.ts';
import { chunks, type Level } from './level.ts';
import type { ListFilter } from './list-filter.ts';
import { cellRangesOf, type Circle, mayBeWithin } from './place-cells.ts';

/** Some records that a filter may hold, in the order of the list. */
export interface Candidates {
  readonly keys: readonly RecordKey[];
  /** For each key the place in the list that a cursor may name. */
  readonly places: readonly string[];
  /** The position of what was read last, and how many keys were read. */
  readonly last: string;
  readonly looked: number;
}

/** Keys read at once where some of them will be dropped. */
const CHUNK = 64;
/** Keys read before a reader is asked whether to continue. */
const LOOKED_AT_ONCE = 512;
/** With so few records of one value, they are checked one by one rather than all within a circle. */
const FEW = 256;

/** Goes through an index, or what several have in common, from behind a place in the list. */
export async function* candidates(
  level: Level,
  collection: string,
  filter: ListFilter,
  { from, limit }: { readonly from: string | undefined; readonly limit: number },
): AsyncGenerator<Candidates> {
  const sources = sourcesOf(collection, filter);
  const [first] = sources;
  const { near } = filter;
  const places = fullKey('index', `${collection}.place\0`);
  if (
    near !== undefined &&
    (first === undefined ||
      (from === undefined ? !(await anyIsFew(level, sources)) : from.startsWith(places)))
  )
    yield* withinCircle(level, places, near, from);
  else if (first !== undefined)
    yield* inAll(level, sources, from, isNarrowedAfter(collection, filter) ? CHUNK : Math.min(limit, CHUNK));
  else {
    const start = fullKey('index', `${collection}.${collection === 'prices' ? 'date' : 'updatedAt'}\0`);
    const chunk = isNarrowedAfter(collection, filter) ? CHUNK : Math.min(limit, CHUNK);
    yield* newestFirst(level, start, from, chunk);
  }
}

/** The sources of a filter's records in the order of their keys, the narrowest index first. */
function sourcesOf(collection: string, { fields, owner }: ListFilter): KeySource[] {
  const within = owner === undefined ? '' : `${collection}/${owner}/`;
  const sources = indexedValues(collection, fields).map(({ name, value }) => ({
    start: fullKey('index', indexStart(`${collection}.${name}`, value)),
    within,
  }));
  return sources.length === 0 && owner !== undefined ? [{ start: fullKey('records', ''), within }] : sources;
}

/** Whether records from these sources have to be checked one by one. */
function isNarrowedAfter(collection: string, { fields, near, keep }: ListFilter): boolean {
  const asked = Object.values(fields).filter((value) => value !== undefined).length;
  return near !== undefined || keep !== undefined || asked > indexedValues(collection, fields).length;
}

async function anyIsFew(level: Level, sources: readonly KeySource[]): Promise<boolean> {
  for (const { start, within } of sources) {
    const gte = start + within;
    if ((await level.keys({ gte, lt: `${gte}\u{10ffff}`, limit: FEW }).all()).length < FEW) return true;
  }
  return false;
}

async function* withinCircle(
  level: Level,
  start: string,
  near: Circle,
  from: string | undefined,
): AsyncGenerator<Candidates> {
  for (const { from: first, to } of cellRangesOf(near)) {
    const lt = start + to;
    if (from !== undefined && from >= lt) continue;
    const range = from !== undefined && from > start + first ? { gt: from, lt } : { gte: start + first, lt };
    for await (const places of chunks(level.keys(range), CHUNK)) {
      const kept = places.filter((place) =>
        mayBeWithin(place.slice(start.length, place.indexOf('\0', start.length)), near),
      );
      yield looked(kept, places);
    }
  }
}

async function* newestFirst(
  level: Level,
  start: string,
  from: string | undefined,
  chunk: number,
): AsyncGenerator<Candidates> {
  const end = `${start}\u{10ffff}`;
  const lt = from !== undefined && from < end ? from : end;
  for await (const places of chunks(level.keys({ gte: start, lt, reverse: true }), chunk))
    yield looked(places, places);
}

function looked(kept: readonly string[], all: readonly string[]): Candidates {
  return {
    keys: kept.map((place) => place.slice(place.lastIndexOf('\0') + 1) as RecordKey),
    places: kept,
    last: all.at(-1) ?? '',
    looked: all.length,
  };
}

/** Records that every source has: each in turn skips to the furthest key of the others. */
async function* inAll(
  level: Level,
  sources: readonly KeySource[],
  from: string | undefined,
  chunk: number,
): AsyncGenerator<Candidates> {
  const start = sources[0]?.start ?? '';
  const behind = from?.startsWith(start) === true ? from.slice(start.length) : undefined;
  const cursors = sources.map((source) => new IndexCursor(level, source, behind));
  try {
    for (let furthest: string | undefined = ''; furthest !== undefined;) {
      const keys: RecordKey[] = [];
      let looked = 0;
      for (; furthest !== undefined && keys.length < chunk && looked < LOOKED_AT_ONCE; looked++) {
        const found = await meet(cursors, furthest);
        if (found.common !== undefined) keys.push(found.common);
        furthest = found.furthest;
      }
      const last = keys.at(-1) ?? cursors[0]?.passed;
      if (last !== undefined)
        yield { keys, places: keys.map((key) => start + key), last: start + last, looked };
    }
  } finally {
    for (const cursor of cursors) await cursor.close();
  }
}

/** Brings all cursors to the furthest key, once; `common` when they meet there. Nothing is furthest when one is at its end. */
async function meet(
  cursors: readonly IndexCursor[],
  furthest: string,
): Promise<{ readonly common?: RecordKey; readonly furthest: string | undefined }> {
  let [to, key]: [string, RecordKey | undefined] = [furthest, undefined];
  let met = true;
  for (const cursor of cursors) {
    await cursor.goTo(to);
    ({ key } = cursor);
    if (key === undefined) return { furthest: undefined };
    met &&= to === key;
    to = key;
  }
  // Behind it, and not behind any other.
  return met && key !== undefined ? { common: key, furthest: `${key}\0` } : { furthest: to };
}
