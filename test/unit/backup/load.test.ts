import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bytesOf, createBackups } from '../../../daemon/backup/backups.ts';
import { systemEnv } from '../../../daemon/system-env.ts';
import { loadBackup } from '../../../storage/backup/load.ts';
import { Database } from '../../../storage/database.ts';
import { openEventTable } from '../../../storage/event-table.ts';
import { fullKey, range } from '../../../storage/keyspace.ts';
import { readRejoin } from '../../../storage/rejoin-note.ts';
import { RESTORING } from '../../../storage/restored.ts';
import { verifiedJson } from '../../../storage/values.ts';
import { startNode } from '../../support/in-process-node.ts';
import { tempDir } from '../../support/temp-dir.ts';

const GENERATION = fullKey('meta', 'generation');

describe('a database out of a backup', () => {
  const dir = tempDir('load');
  const restored = join(dir.path, 'restored');
  let before: { generation: string; reservedTo: number; rows: string[] };

  /** All rows but those of the journal and of `meta`, as text. */
  async function rowsOf(db: Database): Promise<string[]> {
    const rows: string[] = [];
    for await (const [key, value] of db.level.iterator())
      if (!/^[jam]!/.test(key)) rows.push(`${key}=${Buffer.from(value).toString('base64')}`);
    return rows;
  }
  const generationOf = async (db: Database): Promise<string> =>
    verifiedJson<string>(GENERATION, (await db.level.get(GENERATION)) ?? new Uint8Array(0));

  beforeAll(async () => {
    const node = await startNode(join(dir.path, 'node'));
    try {
      for (let i = 0; i < 10; i++)
        await node.request('POST', '/listings', { type: 'offer', title: 'maize', quantity: i });
      const { db, identity } = node.node;
      await node.node.ledger.drain();
      const parts = { db, identity, network: 'test', env: systemEnv, onTaken: () => undefined };
      const source = bytesOf(await createBackups(parts).open({ withKeys: false }));
      mkdirSync(restored);
      await loadBackup(source, join(restored, 'db'), { ...systemEnv, now: () => 4_000_000_000_000 });
      const { reservedTo } = await openEventTable(db);
      before = { generation: await generationOf(db), reservedTo, rows: await rowsOf(db) };
    } finally {
      await node.stop();
    }
  });
  afterAll(() => dir.remove());

  it('opens with nothing to complain of, and holds what the other held', async () => {
    const db = await Database.open(restored, systemEnv);
    try {
      // `firstStart`, because the marker is what a restore writes last.
      expect(db.findings).toEqual({ holes: 0, tailLost: 0, repaired: false, firstStart: true });
      const events = /^s!/;
      const now = await rowsOf(db);
      // Events are written behind the rest: those of after the snapshot are not in it.
      expect(now.filter((row) => !events.test(row))).toEqual(before.rows.filter((row) => !events.test(row)));
      expect(now.length).toBeGreaterThan(40);
      await db.batch([], true);
      expect((await db.level.keys(range('journal')).all()).length).toBe(1);
    } finally {
      await db.close();
    }
  });

  it('has the mark for promises, another generation, and no number of an event twice', async () => {
    const db = await Database.open(restored, systemEnv);
    try {
      expect(await readRejoin(db, 0)).toEqual({ cause: 'restored', since: 4_000_000_000_000, answered: [] });
      expect(await generationOf(db)).not.toBe(before.generation);
      expect((await openEventTable(db)).reservedTo).toBeGreaterThan(before.reservedTo + 500_000);
    } finally {
      await db.close();
    }
  });

  it('is not opened while the restore is under way', async () => {
    mkdirSync(join(restored, RESTORING));
    await expect(Database.open(restored, systemEnv)).rejects.toMatchObject({ code: 'restore-unfinished' });
  });
});
