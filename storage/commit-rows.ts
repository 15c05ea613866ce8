import type { FeedState } from '../protocols/feed/feed.ts';
import type { Commit, Dropped } from '../protocols/ledger/ports.ts';
import { type OpRef, type RecordState, type Verdict, TURNED } from '../protocols/open-dialog/record.ts';
import type { PeerId } from '../protocols/wire/identity.ts';
import type { Channel, RecordKey } from '../protocols/wire/ids.ts';
import { encodeEntryRow, entryKey } from './entry-row.ts';
import { indexKeys } from './indexes.ts';
import { type BatchOp, fullKey, numberKey } from './keyspace.ts';
import { recordOpKey, refKey } from './op-keys.ts';
import { opNumberBytes } from './op-numbers.ts';
import { putJson, withChecksum } from './values.ts';

/** Stands from the commit that erased ops of a record until nothing on disk repeats them. */
export const ERASING = 'erasing ';

/** Where the newest time of the own entries is. */
export const OWN_TIME = fullKey('meta', 'own time');

export const EMPTY = new Uint8Array(0);
export const erasureKey = (feed: { author: PeerId; channel: Channel; epoch: string }, seq: number): string =>
  `${feed.author}|${feed.channel}|${feed.epoch}|${numberKey(seq)}|`;

/** The key of a checkpoint, by its op. */
export const checkpointKey = ({ author, epoch, seq, index }: OpRef): string =>
  fullKey('checkpoints', `${author}|${epoch}|${numberKey(seq)}|${numberKey(index, 4)}`);

/** The row of an op's verdict: its key and value; nothing for an applied op. */
export function verdictRow(
  { ref, size, key, verdict }: Pick<Commit['verdicts'][number], 'ref' | 'size' | 'key' | 'verdict'>,
  feedNo: number,
): { readonly key: string; readonly listed: ListedVerdict | undefined } {
  const { author, channel, epoch, seq, index } = ref;
  return {
    key: fullKey('verdicts', refKey(feedNo, ref)),
    listed:
      verdict.state === 'applied'
        ? undefined
        : { ref: { author, channel, epoch, seq, index }, size, key, verdict },
  };
}

/** An op that is rejected or pending, as the operator sees it. */
export interface ListedVerdict {
  readonly ref: OpRef;
  /** Of the op, in bytes. */
  readonly size: number;
  readonly key: RecordKey | undefined;
  readonly verdict: Exclude<Verdict, { readonly state: 'applied' }>;
}

export const put = (key: string, value: Uint8Array): BatchOp => ({ type: 'put', key, value });
export const del = (key: string): BatchOp => ({ type: 'del', key });

export function feedRow(feed: FeedState): BatchOp {
  return putJson(fullKey('feeds', numberKey(feed.no)), feed);
}

export function entryRow({ feed, entry }: Commit['entries'][number]): BatchOp {
  const key = entryKey(feed.no, entry.header.seq);
  return put(key, encodeEntryRow(key, entry));
}

/** The rows of feeds, proofs, erasures and checkpoints. */
export function feedRows({ feeds, proofs, erasures, checkpoints = [] }: Commit): BatchOp[] {
  const putChecked = (key: string, bytes: Uint8Array): BatchOp => put(key, withChecksum(key, bytes));
  return [
    ...feeds.map(feedRow),
    ...proofs.map(({ feed, proof }) => putChecked(fullKey('forks', numberKey(feed.no)), proof.bytes)),
    ...erasures.map((erasure) =>
      putChecked(fullKey('erasures', erasureKey(erasure, erasure.seq) + erasure.id), erasure.bytes),
    ),
    ...checkpoints.map(({ ref, checkpoint }) => putChecked(checkpointKey(ref), checkpoint.signed)),
  ];
}

/** What records and channels wait for from this commit on, and what a channel no longer does. */
export function awaitingRows({ awaiting, evaluated }: Pick<Commit, 'awaiting' | 'evaluated'>): BatchOp[] {
  const rows = awaiting.map(({ missing, key }) => put(fullKey('awaiting', `${missing}\0${key}`), EMPTY));
  return evaluated === undefined ? rows : [...rows, del(fullKey('awaiting', `${TURNED}\0${evaluated}`))];
}

export function verdictRows(evaluated: Commit['verdicts'][number], feedNo: number): BatchOp[] {
  const { ref, key, fresh, no } = evaluated;
  const rows = fresh && key !== undefined ? [opRow(recordOpKey(key, feedNo, ref), no)] : [];
  const { key: row, listed } = verdictRow(evaluated, feedNo);
  if (listed === undefined) return fresh ? rows : [...rows, del(row)];
  return [...rows, putJson(row, listed)];
}

function opRow(key: string, no: number | undefined): BatchOp {
  return put(key, no === undefined ? EMPTY : withChecksum(key, opNumberBytes(no)));
}

export function erasedRows(ref: OpRef, key: RecordKey, feedNo: number): BatchOp[] {
  const todo = fullKey('meta', ERASING + key);
  return [
    del(recordOpKey(key, feedNo, ref)),
    del(fullKey('verdicts', refKey(feedNo, ref))),
    putJson(todo, key),
  ];
}

/** The changes in what a record is found by. */
export function indexRows(before: RecordState | undefined, after: RecordState): BatchOp[] {
  const oldKeys = indexKeys(before);
  const newKeys = indexKeys(after);
  return [
    ...oldKeys.filter((index) => !newKeys.includes(index)).map((index) => del(fullKey('index', index))),
    ...newKeys
      .filter((index) => !oldKeys.includes(index))
      .map((index) => put(fullKey('index', index), EMPTY)),
  ];
}

/** Takes entries out that are forgotten, and all rows that lead to their ops. */
export function droppedRows({ entries, ops, gone }: Dropped, numberOf: (ref: OpRef) => number): BatchOp[] {
  const keys = entries.map(({ feed, entry }) => entryKey(feed.no, entry.header.seq));
  for (const { ref, key } of ops) {
    const no = numberOf(ref);
    keys.push(fullKey('verdicts', refKey(no, ref)));
    if (key === undefined) {
      if (ref.channel === 'public') keys.push(checkpointKey(ref));
      continue;
    }
    keys.push(recordOpKey(key, no, ref));
    // The rows of what it waited for in its channel; others of the kind are removed at the end.
    if (ref.channel !== 'public' && gone.has(key)) keys.push(fullKey('awaiting', `${ref.channel}\0${key}`));
  }
  return keys.map((key) => ({ type: 'del', key }));
}
