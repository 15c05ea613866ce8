import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fsck, rebuild } from '../../../daemon/maintenance.ts';
import { loadSettings } from '../../../daemon/settings.ts';
import { systemEnv } from '../../../daemon/system-env.ts';
import { Database } from '../../../storage/database.ts';
import { fullKey, range, type SublevelName } from '../../../storage/keyspace.ts';
import { openNotificationTable } from '../../../storage/notification-table.ts';
import { catalogueDigest } from '../../support/catalogue-digest.ts';
import { startNode, type TestNode } from '../../support/in-process-node.ts';
import { tempDir } from '../../support/temp-dir.ts';
import { UnexpectedStatus } from '../../support/wait.ts';

/** Written by the life of the node below. */
const BESIDE = ['apiKeys', 'notifications', 'legacy', 'events', 'idempotency', 'httpNodes'] as const;
const OLD = 'https://old.example.org';

describe('what stands beside the feeds', () => {
  let dir: ReturnType<typeof tempDir>;
  let key: string;
  let before: { digest: string; legacy: unknown; keys: unknown; notifications: unknown; nodes: unknown };

  const settings = () => loadSettings({ DATA_DIR: dir.path });
  const check = () => fsck(settings(), systemEnv, () => undefined);
  const remake = () => rebuild(settings(), systemEnv, () => undefined);

  async function json(node: TestNode, method: string, path: string, body?: unknown): Promise<unknown> {
    const response = await node.request(method, path, body);
    if (!response.ok) throw new UnexpectedStatus(`${method} ${path}`, response.status, await response.text());
    return response.json();
  }
  async function shown(node: TestNode): Promise<typeof before> {
    return {
      digest: catalogueDigest(await (await node.request('GET', '/federation/digest')).json()),
      legacy: await json(node, 'GET', '/federation/legacy/listings'),
      keys: await json(node, 'GET', '/api/keys'),
      notifications: await json(node, 'GET', '/notifications?userId=amina'),
      nodes: await json(node, 'GET', '/federation/nodes'),
    };
  }
  /** Whether the key still opens what it is for. */
  async function writes(node: TestNode): Promise<number> {
    const response = await node.app.request('/listings', {
      method: 'POST',
      headers: { 'x-api-key': key, 'content-type': 'application/json' },
      body: JSON.stringify({ type: 'offer', title: 'Beans' }),
    });
    return response.status;
  }
  async function withDatabase<T>(work: (db: Database) => Promise<T>): Promise<T> {
    const db = await Database.open(dir.path, systemEnv, { create: false });
    try {
      return await work(db);
    } finally {
      await db.close();
    }
  }
  const rowsOf = (names: readonly SublevelName[]): Promise<Record<string, string>> =>
    withDatabase(async (db) => {
      const rows: Record<string, string> = {};
      for (const name of names)
        for await (const [at, value] of db.level.iterator(range(name)))
          rows[at] = Buffer.from(value).toString('hex');
      return rows;
    });
  const damage = (name: SublevelName): Promise<void> =>
    withDatabase(async (db) => {
      const [[at, value] = []] = await db.level.iterator({ ...range(name), limit: 1 }).all();
      if (at === undefined || value === undefined) throw new Error(`nothing in ${name}`);
      const flipped = Uint8Array.from(value, (byte, i) => (i === 1 ? byte ^ 4 : byte));
      await db.batch([{ type: 'put', key: at, value: flipped }], true);
    });

  beforeEach(async () => {
    dir = tempDir('maintenance');
    const node = await startNode(dir.path);
    try {
      ({ key } = (await json(node, 'POST', '/api/keys', { userId: 'amina' })) as { key: string });
      await openNotificationTable(node.node.db).add({
        userId: 'amina',
        notificationId: 'n1',
        message: 'the sync ended',
        read: false,
        createdAt: new Date().toISOString(),
      });
      const item = { id: 'a1', title: 'Maize', updatedAt: '2026-01-01T00:00:00.000Z' };
      await json(node, 'POST', '/federation/import', { listings: [item], transactions: [], users: [] });
      await json(node, 'POST', '/federation/node/register', { nodeUrl: OLD, region: 'West' });
      const made = await node.app.request('/listings', {
        method: 'POST',
        headers: { 'x-api-key': key, 'content-type': 'application/json', 'idempotency-key': 'once' },
        body: JSON.stringify({ type: 'offer', title: 'Maize' }),
      });
      expect(made.status).toBe(201);
      node.node.events.emit('federation.node', { node: OLD, status: 'pending' });
      before = await shown(node);
      expect(JSON.stringify(before.notifications)).toContain('the sync ended');
      expect(JSON.stringify(before.legacy)).toContain('a1');
      expect(JSON.stringify(before.nodes)).toContain(OLD);
    } finally {
      await node.stop();
    }
  });
  afterEach(() => dir.remove());

  it('is left as it is by fsck and rebuild', async () => {
    const held = await rowsOf(BESIDE);
    for (const name of BESIDE)
      expect(
        Object.keys(held).some((at) => at.startsWith(fullKey(name, ''))),
        name,
      ).toBe(true);
    expect((await check()).problems).toEqual([]);
    expect(await remake()).toMatchObject({ records: 2, problems: [] });
    expect((await check()).problems).toEqual([]);
    expect(await rowsOf(BESIDE)).toEqual(held);
    const node = await startNode(dir.path);
    try {
      const { digest, legacy, notifications, nodes } = before;
      expect(await shown(node)).toMatchObject({ digest, legacy, notifications, nodes });
      expect(await writes(node)).toBe(201);
    } finally {
      await node.stop();
    }
  });

  it.each([...BESIDE, 'meta'] as const)(
    'a damaged row in %s is named by fsck and taken out by rebuild, and the rest stays',
    async (name) => {
      const others = BESIDE.filter((each) => each !== name);
      const held = await rowsOf(others);
      await damageOf(name);
      expect((await check()).problems).toMatchObject([{ code: 'value-damaged' }]);
      expect((await remake()).problems).toMatchObject([{ code: 'value-damaged' }]);
      expect((await check()).problems).toEqual([]);
      expect(await rowsOf(others)).toEqual(held);
      const node = await startNode(dir.path);
      try {
        expect((await shown(node)).digest).toBe(before.digest);
        expect(await writes(node)).toBe(name === 'apiKeys' ? 403 : 201);
      } finally {
        await node.stop();
      }
    },
  );

  it.each([...BESIDE, 'meta'] as const)(
    'a node with a damaged row in %s starts, and answers everything else',
    async (name) => {
      await damageOf(name);
      const node = await startNode(dir.path);
      try {
        const now = await shown(node);
        expect(now.digest).toBe(before.digest);
        if (name !== 'legacy') expect(now.legacy).toEqual(before.legacy);
        if (name !== 'notifications') expect(now.notifications).toEqual(before.notifications);
        if (name !== 'httpNodes') expect(now.nodes).toEqual(before.nodes);
        expect(await writes(node)).toBe(name === 'apiKeys' ? 403 : 201);
      } finally {
        await node.stop();
      }
    },
  );

  /** Of `meta` the row in which the numbers of events are reserved: the version stamp has a story of its own. */
  async function damageOf(name: SublevelName): Promise<void> {
    if (name !== 'meta') return damage(name);
    await withDatabase(async (db) => {
      const at = fullKey('meta', 'events reserved');
      expect(await db.level.get(at)).toBeDefined();
      await db.batch([{ type: 'put', key: at, value: new Uint8Array(8) }], true);
    });
  }
});
