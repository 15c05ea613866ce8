import type { Covered, OpPlace } from '../../protocols/ledger/ports.ts';
import type { Change } from '../../protocols/open-dialog/change.ts';
import type { PastChange } from '../../protocols/open-dialog/late-change.ts';
import { readOp } from '../../protocols/open-dialog/read-op.ts';
import type { RecordKey } from '../../protocols/wire/ids.ts';
import { refKey } from '../../storage/op-keys.ts';
import { pastRange, walkedFeed } from '../../storage/past-rows.ts';
import { soundJson } from '../../storage/values.ts';
import type { Checked, CheckParts } from './check-rows.ts';
import type { Derived } from './derive-record.ts';

type Hashed = Change & { readonly hash: string };

/**
 * Compares what is stored of a record's changes for late ones with its applied changes. Where any of it is wrong all of it is
 * removed: it only saves work, and nothing may be evaluated by a wrong one.
 */
export async function checkPast(
  { level }: CheckParts['db'],
  key: RecordKey,
  ops: Derived['ops'],
  checked: Checked,
): Promise<void> {
  const rows = new Map<string, { readonly full: string; readonly value: unknown }>();
  for await (const [full, value] of level.iterator(pastRange(key, 'all')))
    rows.set(full.slice(full.indexOf('\0') + 1), { full, value: soundJson<unknown>(full, value) });
  if (rows.size === 0) return;
  const applied = new Map<string, { readonly change: Hashed; readonly at: Derived['ops'][number] }>();
  for (const at of ops) {
    const read = readOp(at.placed);
    if (at.verdict.state !== 'applied' || 'problem' in read || read.reading.kind !== 'change') continue;
    applied.set(read.reading.change.hash, { change: read.reading.change, at });
  }
  const walked = new Map<number, readonly Covered[]>();
  for (const [name, { full, value }] of rows) {
    const feed = walkedFeed(name);
    const one = applied.get(name);
    const holds =
      feed === undefined ? one !== undefined && tells(value, one.change, one.at.number) : areStretches(value);
    if (!holds)
      checked.wrong.push({ table: 'past', kind: value === undefined ? 'damaged' : 'stale', key: full });
    else if (feed !== undefined) walked.set(feed, value as readonly Covered[]);
  }
  for (const [hash, { at }] of applied) {
    const stretches = walked.get(at.no) ?? [];
    const isWalked = stretches.some((each) => isIn(each, at.placed));
    const isMissing = isWalked && at.number !== undefined && !rows.has(hash);
    if (isMissing) checked.wrong.push({ table: 'past', kind: 'missing', key: `${key} ${hash}` });
  }
  // They rest on the numbers of the record's rows, too.
  if (
    checked.wrong.some(({ table, kind }) => table === 'past' || (table === 'recordOps' && kind === 'stale'))
  )
    for (const { full } of rows.values()) checked.repairs.push({ type: 'del', key: full });
}

function tells(value: unknown, change: Hashed, number: Derived['ops'][number]['number']): boolean {
  if (value === undefined) return false;
  const { actor, seq, startOp, no, seen } = value as PastChange;
  const isThis = actor === change.actor && seq === change.seq && startOp === change.startOp;
  return isThis && (seen !== undefined || typeof number !== 'number' || no === number);
}

function areStretches(value: unknown): boolean {
  return Array.isArray(value);
}

function isIn({ from, to }: Covered, place: OpPlace): boolean {
  const at = refKey(0, place);
  return refKey(0, from) <= at && at <= refKey(0, to);
}
