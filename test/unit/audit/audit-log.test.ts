import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fullKey, numberKey } from '../../../storage/keyspace.ts';
import { jsonWithChecksum } from '../../../storage/values.ts';
import { startNode, type TestNode } from '../../support/in-process-node.ts';
import { tempDir } from '../../support/temp-dir.ts';

const dir = tempDir('audit');
let node: TestNode;
beforeAll(async () => {
  node = await startNode(dir.path);
});
afterAll(async () => {
  await node.stop();
  dir.remove();
});

interface Logs {
  logs: { no: number; action: string; actorId: string; subject?: string; note?: string; hash: string }[];
  cursor?: number;
}
interface Verified {
  lines: number;
  head: { no: number; hash: string };
  problems: { line: number; problem: string }[];
}
const get = async <T>(path: string): Promise<T> => (await (await node.request('GET', path)).json()) as T;

describe('the audit log', () => {
  it('has a line for each key, registration and use, newest first, in pages', async () => {
    const issued = (await (await node.request('POST', '/api/keys', { userId: 'amina' })).json()) as {
      id: string;
    };
    await node.request('POST', '/api/keys/revoke', { id: issued.id });
    await node.request('POST', '/federation/node/register', {
      nodeUrl: 'https://old.example.org',
      region: 'Coast',
    });
    const { logs } = await get<Logs>('/logs?limit=10');
    expect(logs.map(({ action, note }) => [action, note])).toEqual([
      ['registration', 'pending'],
      ['key', 'revoked'],
      ['key', 'issued: read,write'],
      ['key', 'first used today'],
    ]);
    const first = await get<Logs>('/logs?limit=2');
    const second = await get<Logs>(`/logs?limit=2&below=${first.cursor}`);
    expect([...first.logs, ...second.logs]).toEqual(logs);
    expect((await get<Logs>('/logs?kind=registration')).logs).toHaveLength(1);
    expect((await node.app.request('/logs')).status).toBe(403);
  });

  it('shows a changed line, and one that was cut off, by its number', async () => {
    expect(await get<Verified>('/logs/verify')).toMatchObject({ problems: [] });
    const key = fullKey('audit', numberKey(2, 12));
    const value = await node.node.db.level.get(key);
    const line = (await get<Logs>('/logs?limit=10')).logs.find(({ no }) => no === 2);
    expect(line).toBeDefined();
    await node.node.db.level.put(key, jsonWithChecksum(key, { ...line, note: 'forged' }));
    expect((await get<Verified>('/logs/verify')).problems[0]).toMatchObject({ line: 2 });
    await node.node.db.level.put(key, value ?? new Uint8Array());
    expect((await get<Verified>('/logs/verify')).problems).toEqual([]);
    const { head } = await get<Verified>('/logs/verify');
    const last = fullKey('audit', numberKey(head.no, 12));
    const kept = await node.node.db.level.get(last);
    await node.node.db.level.del(last);
    expect((await get<Verified>('/logs/verify')).problems).toEqual([{ line: head.no, problem: 'cut-off' }]);
    await node.node.db.level.put(last, kept ?? new Uint8Array());
  });

  it('signs its head into the feed at stop; then a cut tail shows even when the database agrees with it', async () => {
    const before = await get<Verified>('/logs/verify');
    await node.stop();
    node = await startNode(dir.path, {}, node.node.identity);
    const signed = await get<Verified>('/logs/verify');
    expect(signed.problems).toEqual([]);
    expect(signed.head.no).toBeGreaterThanOrEqual(before.head.no);
    // Whoever cuts the tail also sets the database's own record of the end back.
    const cut = fullKey('meta', 'audit head');
    const { db } = node.node;
    for (let no = before.head.no; no <= signed.head.no; no++)
      await db.level.del(fullKey('audit', numberKey(no, 12)));
    const end = (await get<Logs>(`/logs?limit=1&below=${before.head.no}`)).logs[0];
    await db.level.put(cut, jsonWithChecksum(cut, { no: end?.no, hash: end?.hash }));
    expect((await get<Verified>('/logs/verify')).problems).toEqual([
      { line: before.head.no, problem: 'cut-off' },
    ]);
  });
});
