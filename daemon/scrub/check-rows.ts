import { placedOps, sizedRef } from '../../protocols/ledger/placed-ops.ts';
import { emptyState } from '../../protocols/open-dialog/fast-path.ts';
import { readOp } from '../../protocols/open-dialog/read-op.ts';
import { MERGE, type RecordState } from '../../protocols/open-dialog/record.ts';
import { collectionOf } from '../../protocols/open-dialog/schema.ts';
import type { RecordKey } from '../../protocols/wire/ids.ts';
import { readEntryRow } from '../../storage/entry-row.ts';
import { indexKeys } from '../../storage/indexes.ts';
import { type BatchOp, fullKey, innerKey, numberKey, type SublevelName } from '../../storage/keyspace.ts';
import { recordOpKey } from '../../storage/op-keys.ts';
import { verdictRow } from '../../storage/commit-rows.ts';
import type { Store } from '../../storage/store.ts';
import { draftRecord, NO_CHANGE, readRecordRow, recordRow } from '../../storage/stored-record.ts';
import { verifiedJson, jsonWithChecksum } from '../../storage/values.ts';
import { opsInEffect } from '../gap-survey.ts';
import { wrongNumbers } from './check-numbers.ts';
import { checkPast } from './check-past.ts';
import { type DeriveParts, type Derived, deriveRecord } from './derive-record.ts';

/** A row that is not what the feeds say. */
export interface Wrong {
  readonly table: SublevelName;
  readonly kind: 'missing' | 'damaged' | 'stale' | 'surplus';
  readonly key: string;
}

/** What is wrong with some rows, how to repair them, and the records to check once that is done. */
export interface Checked {
  readonly wrong: Wrong[];
  readonly repairs: BatchOp[];
  readonly again: RecordKey[];
  /** Records in their correct state: others may have read them wrong. */
  readonly states: RecordState[];
  /** The record has too many ops to be derived again. */
  tooLong?: true;
}

export interface CheckParts extends DeriveParts {
  readonly store: DeriveParts['store'] & Pick<Store, 'nextChange'>;
}

const EMPTY = new Uint8Array(0);
const nothing = (): Checked => ({ wrong: [], repairs: [], again: [], states: [] });

/** Rows of which only the checksum of the value is verified: undefined for missing ones. */
function opened<T>(
  read: (key: string, stored: Uint8Array) => T,
  key: string,
  stored: Uint8Array | undefined,
): T | 'damaged' | undefined {
  if (stored === undefined) return undefined;
  try {
    return read(key, stored);
  } catch {
    return 'damaged'; // whatever it was, it is made anew
  }
}

/** Compares everything stored under the name of one record with its feeds. */
export async function checkRecord(parts: CheckParts, key: RecordKey): Promise<Checked> {
  const checked = nothing();
  const full = fullKey('records', key);
  const row = opened(readRecordRow, full, await parts.db.level.get(full));
  // An unmerged record shows its earlier values: those are compared once it is merged, everything else now.
  const unmerged = row === 'damaged' || row?.state.unmerged === undefined ? undefined : row.state;
  const derived = await deriveRecord(parts, key, unmerged);
  if (derived === undefined) return checked;
  if (derived === 'too-long') return { ...checked, tooLong: true };
  for (const row of derived.astray) surplus(checked, 'recordOps', row);
  for (const { row, number } of derived.ops)
    if (number === 'damaged') put(checked, { table: 'recordOps', kind: 'damaged', key: row }, EMPTY);
  await checkState(parts, key, derived, checked);
  const stale = await wrongNumbers(parts.db, derived.ops);
  checked.wrong.push(...stale);
  // A change without a number is compared with those that it names, which takes longer and needs no number to be right.
  if (stale.length > 0)
    for (const { row, number } of derived.ops)
      if (typeof number === 'number') checked.repairs.push({ type: 'put', key: row, value: EMPTY });
  await checkPast(parts.db, key, derived.ops, checked);
  await checkVerdicts(parts, key, derived, checked);
  await checkLacking(parts, key, derived, checked);
  if (derived.state?.unmerged !== undefined) await noteAwaiting(parts, MERGE, key, checked);
  return checked;
}

async function checkState(
  { db, store }: CheckParts,
  key: RecordKey,
  { state: expected, ops }: Derived,
  checked: Checked,
): Promise<void> {
  const full = fullKey('records', key);
  const value = await db.level.get(full);
  const row = opened(readRecordRow, full, value);
  const stored = row === 'damaged' || row === undefined ? undefined : row;
  const isNothing =
    ops.length === 0 && (row === undefined || (stored !== undefined && isEmpty(key, stored.state)));
  const state = isNothing ? stored?.state : expected;
  if (state === undefined) {
    if (value !== undefined) surplus(checked, 'records', full);
  } else if (stored === undefined || !equal(stored.state, state)) {
    const kind = value === undefined ? 'missing' : row === 'damaged' ? 'damaged' : 'stale';
    const isPublic = state.channel === 'public';
    const change = isPublic ? store.nextChange() : NO_CHANGE;
    checked.states.push(state);
    put(checked, { table: 'records', kind, key: full }, recordRow(full, draftRecord(state), change));
    if (isPublic)
      checked.repairs.push({
        type: 'put',
        key: fullKey('changes', numberKey(change, 12)),
        value: Buffer.from(key),
      });
  }
  const isRepaired = checked.wrong.some(({ table }) => table === 'records');
  if (stored !== undefined && stored.change !== NO_CHANGE)
    await checkChange(db, key, stored.change, isRepaired, checked);
  await checkIndexes(db, state, stored?.state, checked);
}

/** The place in the order of changes: there, and of no other record. When the record is repaired it has a new one. */
async function checkChange(
  db: CheckParts['db'],
  key: RecordKey,
  change: number,
  isRepaired: boolean,
  checked: Checked,
): Promise<void> {
  const full = fullKey('changes', numberKey(change, 12));
  const value = await db.level.get(full);
  const isOurs = value !== undefined && Buffer.from(value).toString() === key;
  if (isRepaired && isOurs) checked.repairs.push({ type: 'del', key: full });
  else if (!isRepaired && !isOurs)
    put(
      checked,
      { table: 'changes', kind: value === undefined ? 'missing' : 'stale', key: full },
      Buffer.from(key),
    );
}

async function checkIndexes(
  { level }: CheckParts['db'],
  state: RecordState | undefined,
  stored: RecordState | undefined,
  checked: Checked,
): Promise<void> {
  const keys = indexKeys(state).map((each) => fullKey('index', each));
  const held = await level.getMany(keys);
  for (const [i, key] of keys.entries())
    if (held[i] === undefined) put(checked, { table: 'index', kind: 'missing', key }, EMPTY);
  const others = indexKeys(stored)
    .map((each) => fullKey('index', each))
    .filter((each) => !keys.includes(each));
  const there = await level.getMany(others);
  for (const [i, key] of others.entries()) if (there[i] !== undefined) surplus(checked, 'index', key);
}

async function checkVerdicts(
  { db }: CheckParts,
  key: RecordKey,
  { ops }: Derived,
  checked: Checked,
): Promise<void> {
  const rows = ops.map(({ placed, no, verdict }) => verdictRow({ ...sizedRef(placed), key, verdict }, no));
  const held = await db.level.getMany(rows.map((row) => row.key));
  for (const [i, { key: full, listed }] of rows.entries()) {
    const stored = held[i];
    if (listed === undefined) {
      if (stored !== undefined) surplus(checked, 'verdicts', full);
      continue;
    }
    compare(checked, 'verdicts', full, stored, listed);
  }
}

/** A private fact is evaluated again when its channel's creation comes or goes. */
async function checkLacking(
  parts: CheckParts,
  key: RecordKey,
  { ops }: Derived,
  checked: Checked,
): Promise<void> {
  const channel = ops[0]?.placed.channel;
  const isFact = collectionOf(key)?.kind === 'fact';
  if (channel === undefined || channel === 'public' || channel === key || !isFact) return;
  await noteAwaiting(parts, channel, key, checked);
}

async function noteAwaiting(
  { db }: CheckParts,
  what: string,
  key: RecordKey,
  checked: Checked,
): Promise<void> {
  const full = fullKey('awaiting', `${what}\0${key}`);
  if ((await db.level.get(full)) === undefined)
    put(checked, { table: 'awaiting', kind: 'missing', key: full }, EMPTY);
}

/** The rows that one entry must have: where its ops are found from, and why those that are rejected by themselves are. */
export async function checkEntry({ db, store }: CheckParts, entryKey: string): Promise<Checked> {
  const checked = nothing();
  const stored = await db.level.get(entryKey);
  const no = Number.parseInt(innerKey(entryKey).slice(0, 8), 16);
  const feed = store.feedNumbered(no);
  if (stored === undefined || feed === undefined) return checked;
  const entry = readEntryRow(entryKey, stored);
  for (const placed of opsInEffect(feed, store.gap(no), entry)) {
    const read = readOp(placed);
    if ('problem' in read) {
      if (read.erasure !== undefined) continue; // its own table tells
      const verdict = read.isPending
        ? ({ state: 'pending', code: read.problem, missing: 'upgrade' } as const)
        : ({ state: 'rejected', code: read.problem } as const);
      const { key, listed } = verdictRow({ ...sizedRef(placed), key: read.key, verdict }, no);
      if (listed !== undefined) compare(checked, 'verdicts', key, await db.level.get(key), listed);
      continue;
    }
    const row = recordOpKey(read.key, no, placed);
    const [isFound, record] = await db.level.getMany([row, fullKey('records', read.key)]);
    if (isFound === undefined) put(checked, { table: 'recordOps', kind: 'missing', key: row }, EMPTY);
    if (isFound === undefined || record === undefined) checked.again.push(read.key);
  }
  return checked;
}

/** The records that an entry's ops are of. */
export async function recordsOf({ db }: Pick<CheckParts, 'db'>, entryKey: string): Promise<RecordKey[]> {
  const stored = await db.level.get(entryKey);
  if (stored === undefined) return [];
  return placedOps(readEntryRow(entryKey, stored)).flatMap((placed) => {
    const read = readOp(placed);
    return 'problem' in read ? [] : [read.key];
  });
}

/** A row of a table that points to something: whether that is so. */
export async function checkPointer(parts: CheckParts, name: PointerTable, full: string): Promise<Checked> {
  const checked = nothing();
  if (await POINTS[name](parts, innerKey(full), full)) return checked;
  surplus(checked, name, full);
  if (name === 'recordOps') checked.again.push(innerKey(full).split('\0')[0] as RecordKey);
  return checked;
}

export type PointerTable = keyof typeof POINTS;

const POINTS = {
  async recordOps({ db, store }: CheckParts, inner: string): Promise<boolean> {
    const [key = '', ref = ''] = inner.split('\0');
    return (await opAt({ db, store }, ref))?.key === key;
  },
  /** The record or the entry says which verdict it is. */
  async verdicts({ db, store }: CheckParts, inner: string): Promise<boolean> {
    return (await opAt({ db, store }, inner)) !== undefined;
  },
  /** It is compared with what the record says. */
  async past({ db }: CheckParts, inner: string): Promise<boolean> {
    return (await stateOf(db, inner.slice(0, inner.indexOf('\0')))) !== undefined;
  },
  async index({ db }: CheckParts, inner: string): Promise<boolean> {
    const state = await stateOf(db, inner.slice(inner.lastIndexOf('\0') + 1));
    return state === 'damaged' || indexKeys(state).includes(inner);
  },
  async changes({ db }: CheckParts, inner: string, full: string): Promise<boolean> {
    const value = await db.level.get(full);
    if (value === undefined) return true; // it has moved on meanwhile
    const key = fullKey('records', Buffer.from(value).toString());
    const row = opened(readRecordRow, key, await db.level.get(key));
    return row === 'damaged' || (row !== undefined && numberKey(row.change, 12) === inner);
  },
  async awaiting({ db }: CheckParts, inner: string): Promise<boolean> {
    return (await stateOf(db, inner.slice(inner.indexOf('\0') + 1))) !== undefined;
  },
} satisfies Partial<
  Record<SublevelName, (parts: CheckParts, inner: string, full: string) => Promise<boolean>>
>;

async function stateOf(db: CheckParts['db'], key: string): Promise<RecordState | 'damaged' | undefined> {
  const full = fullKey('records', key);
  const row = opened(readRecordRow, full, await db.level.get(full));
  return row === 'damaged' ? row : row?.state;
}

async function opAt(
  { store }: Pick<CheckParts, 'db' | 'store'>,
  ref: string,
): Promise<{ readonly key: RecordKey | undefined } | undefined> {
  const [no, seq, index] = [ref.slice(0, 8), ref.slice(8, 16), ref.slice(16)].map((hex) =>
    Number.parseInt(hex, 16),
  ) as [number, number, number];
  const entry = store.feedNumbered(no) === undefined ? undefined : await store.entry(no, seq);
  const placed = entry && placedOps(entry).find((each) => each.index === index);
  return placed && { key: readOp(placed).key };
}

function isEmpty(key: RecordKey, state: RecordState): boolean {
  const collection = collectionOf(key);
  return collection !== undefined && equal(state, emptyState(key, collection, state.channel));
}

function put(checked: Checked, wrong: Wrong, value: Uint8Array): void {
  checked.wrong.push(wrong);
  checked.repairs.push({ type: 'put', key: wrong.key, value });
}

function surplus(checked: Checked, table: SublevelName, key: string): void {
  if (checked.repairs.some((op) => op.key === key)) return;
  checked.wrong.push({ table, kind: 'surplus', key });
  checked.repairs.push({ type: 'del', key });
}

function compare(
  checked: Checked,
  table: SublevelName,
  key: string,
  stored: Uint8Array | undefined,
  expected: unknown,
): void {
  const row = opened(verifiedJson<unknown>, key, stored);
  if (row !== 'damaged' && row !== undefined && equal(row, expected)) return;
  const kind = row === undefined ? 'missing' : row === 'damaged' ? 'damaged' : 'stale';
  put(checked, { table, kind, key }, jsonWithChecksum(key, expected));
}

/** Equal as JSON, whatever the order of fields. */
function equal(a: unknown, b: unknown): boolean {
  return JSON.stringify(a, sortedFields) === JSON.stringify(b, sortedFields);
}

function sortedFields(_: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}
