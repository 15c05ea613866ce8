import { createHash } from 'node:crypto';
import { systemEnv } from '../../daemon/system-env.ts';
import { priceRow } from './prices.ts';
import type { Scalar } from '../../protocols/open-dialog/change.ts';
import type { RecordState } from '../../protocols/open-dialog/record.ts';
import { recordKey } from '../../protocols/wire/ids.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import { indexRows, put } from '../../storage/commit-rows.ts';
import { draftRecord, recordRow } from '../../storage/stored-record.ts';
import { Database } from '../../storage/database.ts';
import { Digests } from '../../storage/digests.ts';
import { type BatchOp, fullKey, numberKey } from '../../storage/keyspace.ts';
import { seededRandom } from '../support/random.ts';
import type { ListingFields } from './listings.ts';

/** Records written in one batch. */
const AT_ONCE = 2000;
/** The creation of the first record: 2026-01-01. */
const FIRST_MS = 1_767_225_600_000;

/** What a store is filled with. */
export interface Fill {
  readonly owner: PeerId;
  readonly seed: number;
  /** Rows of the price file as listings; they are taken again and again. */
  readonly listings: readonly ListingFields[];
  readonly listingCount: number;
  readonly priceCount: number;
}

/**
 * Writes records into an empty data folder as a commit would leave them, without their feeds: rows, indexes, order of changes and
 * digests. Every second listing stands at its market, the others anywhere in Kenya.
 */
export async function fillStore(folder: string, fill: Fill, progress: (done: number) => void): Promise<void> {
  const db = await Database.open(folder, systemEnv);
  const digests = new Digests();
  let sums = digests.begin();
  let ops: BatchOp[] = [];
  let change = 0;
  const write = async (): Promise<void> => {
    sums.write(ops);
    await db.batch(ops, false);
    sums.commit();
    sums = digests.begin();
    ops = [];
    progress(change);
  };
  for (const state of states(fill)) {
    const row = fullKey('records', state.key);
    change++;
    ops.push(
      put(row, recordRow(row, draftRecord(state), change)),
      put(fullKey('changes', numberKey(change, 12)), Buffer.from(state.key)),
      ...indexRows(undefined, state),
    );
    sums.change(undefined, state);
    if (change % AT_ONCE === 0) await write();
  }
  await write();
  await db.level.compactRange('\0', '\u{10ffff}');
  await db.close();
}

function* states({ owner, seed, listings, listingCount, priceCount }: Fill): Generator<RecordState> {
  const random = seededRandom(seed);
  for (let i = 0; i < listingCount; i++) {
    const { id: _, ...fields } = listings[i % listings.length] ?? { id: '' };
    const spread = i % 2 === 1;
    const view: Record<string, Scalar> = { status: 'active', ...fields };
    if (spread) {
      view['geoLat_'] = (-4.7 + random() * 9.7).toFixed(5);
      view['geoLong_'] = (33.9 + random() * 8).toFixed(5);
    }
    yield stateOf(owner, 'listings', localId(i), view, i);
  }
  for (let i = 0; i < priceCount; i++) {
    const view = priceRow(
      listings[i % listings.length] ?? { id: '' },
      Math.floor(i / listings.length),
      random,
    );
    yield stateOf(owner, 'prices', sha(`price ${seed} ${i}`), view, i);
  }
}

const sha = (text: string): string => createHash('sha256').update(text).digest('hex');
const localId = (i: number): string =>
  createHash('sha256').update(String(i)).digest('base64url').slice(0, 18);

/** A record as its first op leaves it; the sizes are those of a real one. */
function stateOf(
  owner: PeerId,
  collection: 'listings' | 'prices',
  id: string,
  view: Record<string, Scalar>,
  i: number,
): RecordState {
  const key = recordKey(collection, owner, id);
  const actor = sha(key).slice(0, 32);
  const isDocument = collection === 'listings';
  const names = isDocument ? Object.keys(view) : [];
  return {
    key,
    channel: 'public',
    heads: [isDocument ? sha(`${key} head`) : id],
    view,
    fieldOps: Object.fromEntries(names.map((name, at) => [name, [`${at + 2}@${actor}`]])),
    conflicts: {},
    seqs: isDocument ? { [actor]: [1, names.length + 1] } : {},
    maxOp: isDocument ? names.length + 1 : 0,
    created: [FIRST_MS + i * 40, 0],
    updated: [FIRST_MS + i * 40, 0],
    tombstone: false,
    exists: true,
    pending: 0,
    ops: 1,
  };
}
