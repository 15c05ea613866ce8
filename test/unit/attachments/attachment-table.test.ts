import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemEnv } from '../../../daemon/system-env.ts';
import type { RecordChange } from '../../../protocols/ledger/ports.ts';
import { sha256Hex } from '../../../protocols/wire/bytes.ts';
import { type RecordKey, recordKey } from '../../../protocols/wire/ids.ts';
import {
  type AttachmentFault,
  attachmentFaults,
  checkAttachments,
} from '../../../storage/attachment-check.ts';
import { bytesKey, heldKey, UNNAMED_MS, UPLOADS } from '../../../storage/attachment-rows.ts';
import { AttachmentTable } from '../../../storage/attachment-table.ts';
import { Database } from '../../../storage/database.ts';
import { attachmentIndex } from '../../../storage/indexes.ts';
import { fullKey, range } from '../../../storage/keyspace.ts';
import { putJson } from '../../../storage/values.ts';
import { tempDir } from '../../support/temp-dir.ts';
import { nodeOf } from '../../support/vectors/signatures.ts';

const self = nodeOf(1).peerId;
const other = nodeOf(2).peerId;
const NOW = Date.UTC(2026, 10, 30);
const DAY = UNNAMED_MS;

const bytesOf = (n: number): Uint8Array => Buffer.from(`attachment ${n}`.padEnd(5000, '.'));
const hashOf = (n: number): string => sha256Hex(bytesOf(n));

describe('the table of attachments', () => {
  let dir: ReturnType<typeof tempDir>;
  let db: Database;
  let table: AttachmentTable;
  /** The monotonic clock, milliseconds. */
  let spent = 0;

  beforeEach(async () => {
    dir = tempDir('attachment-table');
    spent = 1000;
    db = await Database.open(dir.path, { ...systemEnv, monotonic: () => spent });
    table = new AttachmentTable(db);
  });
  afterEach(async () => {
    await db.close();
    dir.remove();
  });

  const upload = (n: number, user: string, now = NOW, isUsed = false): Promise<void> =>
    table.keepUpload({ sha256: hashOf(n), bytes: bytesOf(n), self, user, isUsed }, now);
  const listing = (id: string, owner = self): RecordKey => recordKey('listings', owner, id);
  const indexRow = (n: number, key: RecordKey): string =>
    fullKey('index', attachmentIndex(hashOf(n), 'public') + key);
  /** A commit after which this record names an attachment, or names it no more. */
  async function commit(n: number, key: RecordKey, names: boolean): Promise<void> {
    const view = {
      images: JSON.stringify([{ sha256: hashOf(n), type: 'image/png', size: 5000, name: '' }]),
    };
    const live = { key, channel: 'public', exists: true, tombstone: false, erased: false, view };
    const [before, after] = names ? [undefined, live] : [live, undefined];
    const changes = [{ key, before, after }] as unknown as RecordChange[]; // all that is looked at
    const row = indexRow(n, key);
    const index = names ? { type: 'put' as const, key: row, value: new Uint8Array() } : undefined;
    await db.batch([index ?? { type: 'del', key: row }, ...table.rows(changes, NOW)], false);
    table.committed(changes);
  }
  const isHere = async (n: number): Promise<boolean> => (await table.bytes(hashOf(n))) !== undefined;
  async function rows(kind: string): Promise<number> {
    return (await db.level.keys(range('attachments', kind)).all()).length;
  }
  /** What a table that is opened anew counts. */
  const counted = (author: string): Promise<number> => new AttachmentTable(db).charged(author);

  it('charges are what the rows say, also when the first to count is what drops them', async () => {
    await upload(1, 'mary');
    await table.claim(hashOf(1), { user: 'mary', operator: false });
    await commit(1, listing('a'), true);
    await upload(2, 'mary');
    await commit(1, listing('a'), false);
    table = new AttachmentTable(db);
    await table.collect(self, NOW);
    expect([await isHere(1), await isHere(2)]).toEqual([false, true]);
    expect(await table.charged(self)).toBe(5000);
  });

  it('bytes that are sent again and again leave one row, and are charged once', async () => {
    for (let i = 0; i < 50; i++) await upload(1, 'mary', NOW + i);
    expect(await rows('e')).toBe(1);
    expect(await table.unnamed('mary', self, 32, hashOf(2))).toBe(1);
    expect(await table.unnamed('mary', self, 32, hashOf(1))).toBe(0);
    spent += DAY;
    await table.collect(self, NOW + DAY + 1000);
    expect(await isHere(1)).toBe(false);
    expect([await table.charged(self), await counted(self)]).toEqual([0, 0]);
    expect(await rows('')).toBe(0);
  });

  it('two rows that ask for the same one are one look', async () => {
    await upload(1, 'mary');
    await db.batch([putJson(fullKey('attachments', `e${'0'.repeat(14)}${hashOf(1)}`), true)], false);
    spent += DAY;
    await table.charged(self);
    await table.collect(self, NOW + DAY + 1000);
    expect([await isHere(1), await table.charged(self)]).toEqual([false, 0]);
  });

  it('of two who have sent the same bytes one erases: the other still has a day to name them', async () => {
    await upload(1, 'mary');
    await upload(1, 'eve', NOW + 1);
    expect(await table.claim(hashOf(1), { user: 'mary', operator: false })).toBe(true);
    await commit(1, listing('a'), true);
    await commit(1, listing('a'), false);
    await table.collect(self, NOW + 2);
    expect(await isHere(1)).toBe(true);
    expect(await table.claim(hashOf(1), { user: 'eve', operator: false })).toBe(true);
    await commit(1, listing('b'), true);
    // Both have named theirs: nothing waits any more.
    await commit(1, listing('b'), false);
    await table.collect(self, NOW + 3);
    expect([await isHere(1), await rows('')]).toEqual([false, 1]);
    spent += DAY;
    await table.collect(self, NOW + DAY + 1000);
    expect(await rows('')).toBe(0);
  });

  it('what came inside a message goes with it, and what its sender had sent before stays', async () => {
    await upload(1, 'mary', NOW, true);
    await commit(1, listing('m'), true);
    await commit(1, listing('m'), false);
    await table.collect(self, NOW + 1);
    expect(await isHere(1)).toBe(false);
    await upload(2, 'mary', NOW);
    await upload(2, 'mary', NOW + 1, true);
    await commit(2, listing('m'), true);
    await commit(2, listing('m'), false);
    await table.collect(self, NOW + 2);
    expect(await isHere(2)).toBe(true);
  });

  it('a clock that was wrong drops nothing: an upload has its day by the time that passes', async () => {
    await upload(1, 'mary', 0);
    await table.collect(self, NOW);
    expect(await isHere(1)).toBe(true);
    spent += DAY - 1;
    await table.collect(self, NOW + 10 * DAY);
    expect(await isHere(1)).toBe(true);
    spent += 1;
    await table.collect(self, NOW + 11 * DAY);
    expect([await isHere(1), await rows('')]).toEqual([false, 0]);
    // One that set back does not end the time of whoever sent the same before.
    await upload(2, 'mary', NOW);
    await upload(2, 'eve', NOW - 10 * DAY);
    table = new AttachmentTable(db);
    await table.collect(self, NOW + DAY);
    expect(await isHere(2)).toBe(true);
    await table.collect(self, NOW + DAY + 1000);
    expect([await isHere(2), await rows('')]).toEqual([false, 0]);
  });

  it('what a request is about to name stays when the last record that named it goes', async () => {
    await upload(1, 'mary');
    await table.claim(hashOf(1), { user: 'mary', operator: false });
    await commit(1, listing('a'), true);
    await table.claim(hashOf(1), { user: 'mary', operator: false });
    await commit(1, listing('a'), false);
    expect(await table.collect(self, NOW)).toBe(true);
    expect(await isHere(1)).toBe(true);
    await commit(1, listing('b'), true);
    expect(await table.collect(self, NOW)).toBe(false);
    expect([await isHere(1), await rows('g')]).toEqual([true, 0]);
    // A request that comes to nothing holds it for as long as one can take.
    await table.claim(hashOf(1), { user: 'mary', operator: false });
    await commit(1, listing('b'), false);
    expect(await table.collect(self, NOW)).toBe(true);
    spent += 60_000;
    expect(await table.collect(self, NOW)).toBe(false);
    expect(await isHere(1)).toBe(false);
  });

  it('what is fetched while its record goes is not kept, an own one as little as another node’s', async () => {
    await table.keepOwn(hashOf(1), bytesOf(1), self, NOW);
    await table.keepFetched(hashOf(2), bytesOf(2), { author: other, channel: 'public' }, NOW);
    expect(await rows('')).toBe(0);
    await commit(1, listing('a'), true);
    await commit(2, listing('a', other), true);
    await table.keepOwn(hashOf(1), bytesOf(1), self, NOW);
    await table.keepFetched(hashOf(2), bytesOf(2), { author: other, channel: 'public' }, NOW);
    expect([await isHere(1), await isHere(2)]).toEqual([true, true]);
    expect([await table.charged(self), await table.charged(other)]).toEqual([5000, 5000]);
    // Nobody here has sent it.
    expect(await table.claim(hashOf(1), { user: 'mary', operator: false })).toBe(false);
    await commit(1, listing('a'), false);
    await table.collect(self, NOW);
    expect(await isHere(1)).toBe(false);
  });

  describe('rows that are damaged', () => {
    const faults = async (): Promise<string[]> => {
      const found: string[] = [];
      for await (const { sha256, kind } of attachmentFaults(db)) found.push(`${kind} ${sha256}`);
      return found.sort();
    };
    async function check(): Promise<[key: string, kind: AttachmentFault][]> {
      const told: [string, AttachmentFault][] = [];
      const parts = { db, table, self, now: () => NOW };
      await checkAttachments(
        parts,
        (...of) => void told.push(of),
        async () => undefined,
      );
      return told;
    }
    /** Own ones named by a listing, 1 to 3; another node's, 4; an upload that nothing names yet, 5. */
    beforeEach(async () => {
      for (const n of [1, 2, 3]) {
        await upload(n, 'mary');
        await table.claim(hashOf(n), { user: 'mary', operator: false });
        await commit(n, listing(`l${n}`), true);
      }
      await commit(4, listing('x', other), true);
      await table.keepFetched(hashOf(4), bytesOf(4), { author: other, channel: 'public' }, NOW);
      await upload(5, 'eve');
      expect([await faults(), await check()]).toEqual([[], []]);
    });

    it('a flipped byte and bytes that are gone are found, and leave nothing that is charged', async () => {
      const key = bytesKey(hashOf(4));
      const stored = Buffer.from((await db.level.get(key)) ?? []);
      stored.writeUInt8((stored.at(100) ?? 0) ^ 1, 100);
      await db.batch(
        [
          { type: 'put', key, value: stored },
          { type: 'del', key: bytesKey(hashOf(1)) },
        ],
        false,
      );
      expect(await faults()).toEqual([`damaged ${hashOf(4)}`, `missing ${hashOf(1)}`].sort());
      expect((await check()).sort()).toEqual(
        [
          [key, 'damaged'],
          [bytesKey(hashOf(1)), 'missing'],
        ].sort(),
      );
      expect([await faults(), await check()]).toEqual([[], []]);
      expect([await table.charged(self), await table.charged(other)]).toEqual([15_000, 0]);
      expect([await counted(self), await counted(other)]).toEqual([15_000, 0]);
    });

    it('own bytes stay when the row that says why is damaged or gone; of other bytes nothing stays', async () => {
      const held = heldKey(hashOf(2), UPLOADS);
      await db.batch(
        [
          { type: 'del', key: heldKey(hashOf(1), UPLOADS) },
          { type: 'put', key: held, value: Buffer.from('no such row') },
          { type: 'del', key: heldKey(hashOf(4), 'public') },
          { type: 'del', key: heldKey(hashOf(5), UPLOADS) },
        ],
        false,
      );
      table = new AttachmentTable(db);
      expect(await faults()).toEqual([1, 4, 5].map((n) => `surplus ${hashOf(n)}`).sort());
      expect((await check()).sort()).toEqual(
        [
          [heldKey(hashOf(1), UPLOADS), 'missing'],
          [held, 'missing'],
          [bytesKey(hashOf(4)), 'surplus'],
          [bytesKey(hashOf(5)), 'surplus'],
        ].sort(),
      );
      expect([await faults(), await check()]).toEqual([[], []]);
      for (const [n, here] of [
        [1, true],
        [2, true],
        [3, true],
        [4, false],
        [5, false],
      ] as const)
        expect(await isHere(n), `${n}`).toBe(here);
      expect([await table.charged(self), await counted(self)]).toEqual([15_000, 15_000]);
      // They go with their record like any other.
      await commit(1, listing('l1'), false);
      await table.collect(self, NOW);
      expect(await isHere(1)).toBe(false);
    });

    it('what is to go anyway is no fault', async () => {
      spent += 2 * DAY;
      // The check looks at them in the order of their hashes.
      const [first = 0, , last = 0] = [1, 2, 3].sort((x, y) => (hashOf(x) < hashOf(y) ? -1 : 1));
      await commit(first, listing(`l${first}`), false);
      table = new AttachmentTable(db);
      const told: unknown[] = [];
      const parts = { db, table, self, now: () => NOW + 2 * DAY };
      let isFirst = true;
      const pace = async (): Promise<void> => {
        // Another goes while the check is under way.
        if (isFirst) await commit(last, listing(`l${last}`), false);
        isFirst = false;
      };
      await checkAttachments(parts, (...of) => void told.push(of), pace);
      expect(told).toEqual([]);
      expect([await isHere(first), await isHere(last)]).toEqual([false, true]);
      await table.collect(self, NOW + 2 * DAY);
      expect([await isHere(last), await isHere(5)]).toEqual([false, false]);
      expect(await rows('g')).toBe(0);
    });
  });
});
