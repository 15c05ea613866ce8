import { clockIsCredible } from '../protocols/wire/release-date.ts';
import { encodeEntryRow } from './entry-row.ts';
import { REBUILDING } from './level.ts';
import type { Migration } from './migrations.ts';
import { rewriteRows } from './row-migration.ts';
import { putJson, verifyChecksum } from './values.ts';

/**
 * Layout 2: every entry is stored with its arrival, and keys hold times in 14 digits. When entries of an older database arrived is
 * not known, but not later than now. A damaged entry stays as it is, for the rebuild to find, which derives everything again.
 */
export const ARRIVALS: Migration = {
  to: 2,
  async run(level, now, onProgress) {
    const begun = now();
    const arrived = clockIsCredible(begun) ? begun : 0;
    const rewrite = (key: string, value: Uint8Array) => ({
      type: 'put' as const,
      key,
      value: encodeEntryRow(key, { bytes: verifyChecksum(key, value), arrived }),
    });
    const ops = await rewriteRows(level, { table: 'entries', mark: 'arrivals', rewrite }, onProgress);
    return [...ops, putJson(REBUILDING, true)];
  },
};
