import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bytesOf, createBackups } from '../../../daemon/backup/backups.ts';
import { systemEnv } from '../../../daemon/system-env.ts';
import { readBackup } from '../../../storage/backup/backup-file.ts';
import { Digests } from '../../../storage/digests.ts';
import { fullKey, KEYSPACE } from '../../../storage/keyspace.ts';
import { LAYOUT } from '../../../storage/migrations.ts';
import { startNode, type TestNode } from '../../support/in-process-node.ts';
import { tempDir } from '../../support/temp-dir.ts';
import { waitFor } from '../../support/wait.ts';

const dir = tempDir('backups');
let node: TestNode;
const listing = async (title: string): Promise<void> => {
  expect((await node.request('POST', '/listings', { type: 'offer', title, quantity: 1 })).status).toBe(201);
};
const backups = (limits = { stalledMs: 60_000, heldMs: 60_000 }, onTaken = (): void => undefined) => {
  const { db, identity } = node.node;
  return createBackups({ db, identity, network: 'test', env: systemEnv, onTaken, limits });
};

beforeAll(async () => {
  node = await startNode(dir.path);
  for (let i = 0; i < 20; i++) await listing(`maize ${i}`);
});
afterAll(async () => {
  await node.stop();
  dir.remove();
});

describe('a backup of a running node', () => {
  it('is of the moment it began at, whatever is written while it is read', async () => {
    const digest = await node.digest();
    const source = await backups().open({ withKeys: false });
    for (let i = 0; i < 20; i++) await listing(`later ${i}`);
    const keys: string[] = [];
    const backup = await readBackup(bytesOf(source), {
      pairs: async (pairs) => void keys.push(...pairs.map(([key]) => key)),
    });
    expect(backup.manifest).toMatchObject({ digest, peerId: node.peerId, network: 'test', layout: LAYOUT });
    expect(await node.digest()).not.toBe(digest);
    expect(keys.filter((key) => key.startsWith('r!')).length).toBe(20);
    const seen = new Set(keys.map((key) => key.slice(0, 1)));
    for (const name of ['journal', 'addresses'] as const) expect(seen.has(KEYSPACE[name].prefix)).toBe(false);
    for (const name of ['meta', 'feeds', 'entries', 'records', 'digests', 'audit'] as const)
      expect(seen.has(KEYSPACE[name].prefix), name).toBe(true);
    expect((await Digests.ofRecords(node.node.db.level)).total()).toBe(await node.digest());
  });

  it('is one at a time, and let go of when it was read, or its reader goes away', async () => {
    let taken = 0;
    const port = backups(undefined, () => void taken++);
    const first = await port.open({ withKeys: false });
    await expect(port.open({ withKeys: false })).rejects.toMatchObject({ code: 'backup-busy' });
    await first.next();
    await first.return(undefined);
    expect(taken).toBe(0);
    // Never read at all.
    await (await port.open({ withKeys: false })).return(undefined);
    await readBackup(bytesOf(await port.open({ withKeys: false })));
    expect(taken).toBe(1);
    await (await port.open({ withKeys: false })).return(undefined);
  });

  it('is given up when nobody asks for more, or when it takes too long', async () => {
    for (const limits of [
      { stalledMs: 30, heldMs: 60_000 },
      { stalledMs: 60_000, heldMs: 30 },
    ]) {
      const port = backups(limits);
      const source = await port.open({ withKeys: false });
      expect((await source.next()).done).toBe(false);
      await waitFor('it to be given up', async () => {
        try {
          await (await port.open({ withKeys: false })).return(undefined);
          return true;
        } catch {
          return false; // still held
        }
      });
      await expect(source.next()).rejects.toMatchObject({ code: 'backup-stalled' });
    }
  });

  it('is refused while a value is damaged that it would carry along', async () => {
    const key = fullKey('registry', 'nobody');
    const { level } = node.node.db;
    await level.put(key, Buffer.from('not what was written'));
    await expect(readBackup(bytesOf(await backups().open({ withKeys: false })))).rejects.toMatchObject({
      code: 'value-damaged',
    });
    await level.del(key);
    await readBackup(bytesOf(await backups().open({ withKeys: false })));
  });

  it('is audited', async () => {
    const response = await node.request('GET', '/backup');
    await response.arrayBuffer();
    const { logs } = (await (await node.request('GET', '/logs?kind=operator')).json()) as {
      logs: { note?: string }[];
    };
    expect(logs.map(({ note }) => note)).toContain('a backup was taken');
  });
});
