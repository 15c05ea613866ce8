import { clockIsCredible } from '../protocols/wire/release-date.ts';
import { encodeEntryRow } from './entry-row.ts';
import { type BatchOp, fullKey, range } from './keyspace.ts';
import { type Level, REBUILDING } from './level.ts';
import type { Migration } from './migrations.ts';
import { putJson, verifiedJson, verifyChecksum } from './values.ts';

/** The last entry that has its arrival; stands while the migration is under way. */
const DONE = fullKey('meta', 'arrivals');
/** Bytes of entries written at once: some of the largest. */
const AT_ONCE = 8 * 1024 * 1024;

/**
 * Layout 2: every entry is kept with when it came, and keys hold times in 14 digits. When entries of an older database came is not
 * known, but not later than now. Written piece by piece, with how far it is in the same batch; a value that is damaged stays as it is,
 * for the rebuild to find, which derives everything anew.
 */
export const ARRIVALS: Migration = {
  to: 2,
  async run(level, now) {
    const done = await level.get(DONE);
    const from = done === undefined ? undefined : verifiedJson<string>(DONE, done);
    const begun = now();
    const arrived = clockIsCredible(begun) ? begun : 0;
    let ops: BatchOp[] = [];
    let size = 0;
    for await (const [key, value] of level.iterator({
      lt: range('entries').lt,
      ...(from === undefined ? { gte: range('entries').gte } : { gt: from }),
      highWaterMarkBytes: 1024 * 1024,
    })) {
      const bytes = undamaged(key, value);
      if (bytes !== undefined) ops.push({ type: 'put', key, value: encodeEntryRow(key, { bytes, arrived }) });
      size += value.length;
      if (size < AT_ONCE) continue;
      await write(level, ops, key);
      ops = [];
      size = 0;
    }
    return [...ops, { type: 'del', key: DONE }, putJson(REBUILDING, true)];
  },
};

async function write(level: Level, ops: readonly BatchOp[], last: string): Promise<void> {
  await level.batch([...ops, putJson(DONE, last)], {
    sync: true,
  });
}

function undamaged(key: string, value: Uint8Array): Uint8Array | undefined {
  try {
    return verifyChecksum(key, value);
  } catch {
    return undefined; // the rebuild names it
  }
}
