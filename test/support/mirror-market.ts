import { isDeepStrictEqual } from 'node:util';
import { unmarshall } from '@aws-sdk/util-dynamodb';
import { isLive } from '../../protocols/open-dialog/record.ts';
import { readRecordRow, type StoredRecord } from '../../storage/stored-record.ts';
import { openNotificationTable } from '../../storage/notification-table.ts';
import { range } from '../../storage/keyspace.ts';
import { verifiedJson } from '../../storage/values.ts';
import type { TestDynamo } from './dynamo.ts';
import type { TestNode } from './in-process-node.ts';
import { UnexpectedStatus } from './wait.ts';

/** The keys of the tables, as the documents of the old back end have them. */
export const KEYS: Readonly<Record<string, readonly string[]>> = {
  Listings: ['id'],
  Contracts: ['id'],
  Transactions: ['id'],
  TransactionLogs: ['transactionId', 'timestamp'],
  NodeRegistry: ['url'],
  Notifications: ['userId', 'notificationId'],
  Keys: ['id'],
  Conversations: ['id'],
  Messages: ['conversationId', 'id'],
  Prices: ['id'],
  Trends: ['id'],
};

type Json = Record<string, unknown>;

async function ask(node: TestNode, method: string, path: string, body?: unknown): Promise<Json> {
  const response = await node.request(method, path, body);
  const text = await response.text();
  if (!response.ok) throw new UnexpectedStatus(`${method} ${path}`, response.status, text);
  return text === '' ? {} : (JSON.parse(text) as Json);
}

/** Writes about `count` records of every kind, changes some again and ends some. Every write was acknowledged. */
export async function makeMarket(
  node: TestNode,
  count: number,
  random: () => number,
  part = 0,
): Promise<void> {
  const some = (share: number): number => Math.max(2, Math.floor(count * share));
  const lines: Json[] = [];
  for (let i = 0; i < some(0.5); i++)
    lines.push({
      kind: 'price',
      date: `2026-0${1 + (i % 9)}-15`,
      market: `Market ${i % 40}`,
      commodity: `Maize ${part} ${i}`,
      unit: 'KG',
      currency: 'KES',
      price: Math.round(random() * 1e4) / 100,
      priceType: 'Retail',
    });
  for (let i = 0; i < some(0.4); i++)
    lines.push({ kind: 'listing', id: `l${part}-${i}`, ...offer(random, i) });
  const imported = await node.app.request('/import', {
    method: 'POST',
    headers: { 'x-api-key': 'test-key-of-a-node-in-this-process', 'content-type': 'application/x-ndjson' },
    body: lines.map((line) => JSON.stringify(line)).join('\n'),
  });
  if (!/"finished":true/.test(await imported.text())) throw new Error('the import was broken off');
  // Again and again the same few: their rows in the outbox become one.
  for (let i = 0; i < some(0.02); i++) {
    const id = `l${part}-${Math.floor(random() * some(0.4))}`;
    const path = `/listings/${id}`;
    if (random() < 0.3) await node.request('DELETE', path);
    else await node.request('PATCH', path, { quantity: Math.floor(random() * 1000) });
  }
  const self = node.peerId;
  for (let i = 0; i < some(0.004); i++) {
    const made = await ask(node, 'POST', '/contracts', {
      title: `Contract ${part} ${i}`,
      buyerId: `amina@${self}`,
      supplierId: `mary@${self}`,
      productId: 'maize',
      quantity: 10 + i,
      unit: 'kg',
      price: 3.5,
      currency: 'KES',
      terms: [`as seen ${i}`],
      propose: false,
    });
    const path = `/contracts/${String(made['contractId'])}`;
    if (i % 4 === 0) continue;
    await ask(node, 'POST', `${path}/propose`, { proposedBy: `amina@${self}` });
    await ask(node, 'POST', `${path}/accept`, { acceptedBy: `mary@${self}` });
    await ask(node, 'POST', `${path}/pings`, { from: `mary@${self}`, status: 'loaded', percentComplete: 40 });
    if (i % 4 === 1) continue;
    await ask(node, 'POST', `${path}/settle`, { settledBy: `mary@${self}` });
    await ask(node, 'POST', `${path}/settle`, { settledBy: `amina@${self}` });
  }
  for (let i = 0; i < some(0.004); i++) {
    const made = await ask(node, 'POST', '/conversations', {
      title: `Talk ${part} ${i}`,
      participants: [`mary@${self}`, `amina@${self}`],
    });
    const id = String(made['id']);
    for (let m = 0; m < 3; m++)
      await ask(node, 'POST', `/messages/${id}`, { from: 'mary', content: `hello ${m}`, type: 'text' });
    if (i % 5 === 4) await ask(node, 'DELETE', `/conversations/${id}`);
  }
  const table = openNotificationTable(node.node.db);
  for (let i = 0; i < some(0.01); i++) {
    const notificationId = `${part}-${i}`;
    await table.add({
      userId: `user ${i % 7}`,
      notificationId,
      message: `news ${i}`,
      read: false,
      createdAt: new Date(1e12 + i).toISOString(),
    });
    if (i % 3 === 0) await table.markRead(`user ${i % 7}`, notificationId);
  }
  for (let i = 0; i < 3; i++) {
    const key = await ask(node, 'POST', '/api/keys', { userId: `user-${part}-${i}`, scopes: ['read'] });
    if (i === 2) await ask(node, 'POST', '/api/keys/revoke', { id: key['id'] });
  }
  for (let i = 0; i < 3; i++)
    await ask(node, 'POST', '/federation/node/register', {
      nodeUrl: `https://old-${part}-${i}.example.org`,
      region: 'West',
      contactEmail: 'somebody@example.org',
    });
}

function offer(random: () => number, i: number): Json {
  return {
    type: i % 5 === 0 ? 'request' : 'offer',
    title: `Listing ${i} \u{1f33d}`,
    commodity: 'Maize',
    quantity: Math.floor(random() * 500),
    price: Math.round(random() * 1e6) / 1e4,
    tags: ['dry', 'white'],
    geoLat_: '-1.28333',
    geoLong_: '36.81667',
    notes: '',
  };
}

/**
 * Holds every table against LevelDB by a way of its own: records from the database's rows, the rest from the node's API, the items
 * from DynamoDB by the SDK. Throws at the first that differs; gives the number of items.
 */
export async function expectSameTables(node: TestNode, dynamo: TestDynamo, prefix = ''): Promise<number> {
  const expected = await expectedTables(node);
  let count = 0;
  for (const [table, key] of Object.entries(KEYS)) {
    const items = await dynamo.items(prefix + table, key);
    const rows = expected[table] ?? new Map<string, Json>();
    const missing = [...rows.keys()].filter((id) => !items.has(id));
    const extra = [...items.keys()].filter(
      (id) => !rows.has(id) && items.get(id)?.['_deleted'] === undefined,
    );
    if (missing.length + extra.length > 0)
      throw new Error(
        `${table}: ${missing.length} missing (${missing.slice(0, 3).join(', ')}), ${extra.length} too many (${extra.slice(0, 3).join(', ')})`,
      );
    for (const [id, row] of rows) {
      const raw = items.get(id);
      const item = raw && unmarshall(raw);
      for (const [name, value] of Object.entries(row))
        if (!isDeepStrictEqual(item?.[name], withoutEmpty(value)))
          throw new Error(
            `${table} ${id}: ${name} is ${JSON.stringify(item?.[name])}, not ${JSON.stringify(value)}`,
          );
      if (typeof item?.['_source'] !== 'string' || !Array.isArray(item['_version']))
        throw new Error(`${table} ${id} does not say where it comes from`);
      count++;
    }
    for (const item of items.values()) {
      const text = JSON.stringify(item);
      if (/somebody@example|contactEmail|password/i.test(text))
        throw new Error(`${table} tells an address: ${text}`);
    }
  }
  return count;
}

/** DynamoDB has null for an empty text. */
function withoutEmpty(value: unknown): unknown {
  if (value === '') return null;
  if (Array.isArray(value)) return value.map(withoutEmpty);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, withoutEmpty(inner)]));
}

async function expectedTables(node: TestNode): Promise<Record<string, Map<string, Json>>> {
  const tables: Record<string, Map<string, Json>> = Object.fromEntries(
    Object.keys(KEYS).map((name) => [name, new Map()]),
  );
  const add = (table: string, row: Json): void => {
    const id = (KEYS[table] ?? []).map((name) => String(row[name])).join(' ');
    tables[table]?.set(id, row);
  };
  const { db } = node.node;
  const live: StoredRecord['state'][] = [];
  for await (const [key, value] of db.level.iterator(range('records'))) {
    const { state } = readRecordRow(key, value);
    if (isLive(state)) live.push(state);
  }
  const pub = (key: string): string => key.split('/').slice(1).join('.');
  for (const { key, view, channel } of live) {
    const [collection = ''] = key.split('/');
    const fields = Object.fromEntries(
      Object.entries(view).map(([name, value]) => [
        name,
        typeof value === 'string' && value.startsWith('[') ? (JSON.parse(value) as unknown) : value,
      ]),
    );
    if (collection === 'listings') add('Listings', { id: pub(key), listingId: pub(key), ...fields });
    if (collection === 'prices') add('Prices', { id: pub(key), ...fields });
    if (collection === 'messages')
      add('Messages', {
        conversationId: pub(channel),
        id: pub(key),
        from: fields['from'],
        content: fields['content'],
        timestamp: new Date(Number(fields['sentAt'])).toISOString(),
      });
    if (collection === 'conversations' && view['archived'] !== true) {
      const { hidden: _, ...row } = await ask(node, 'GET', `/conversations/${pub(key)}`);
      add('Conversations', row);
    }
    if (collection === 'contracts') add('Contracts', await ask(node, 'GET', `/contracts/${pub(key)}`));
  }
  for await (const row of paged(node, '/transactions', 'transactions')) add('Transactions', row);
  for (let below: unknown = undefined; ;) {
    const page = await ask(
      node,
      'GET',
      `/logs?limit=1000${below === undefined ? '' : `&below=${JSON.stringify(below)}`}`,
    );
    for (const line of page['logs'] as Json[]) {
      if (line['transactionId'] === undefined) continue;
      const stamp = `${String(line['timestamp']).slice(0, -1)}${String(line['no']).padStart(12, '0')}Z`;
      if (Number.isNaN(new Date(stamp).getTime())) throw new Error(`${stamp} is no date`);
      add('TransactionLogs', {
        transactionId: line['transactionId'],
        timestamp: stamp,
        actorId: line['actorId'],
      });
    }
    below = page['cursor'];
    if (below === undefined) break;
  }
  for (const row of (await ask(node, 'GET', '/federation/nodes'))['nodes'] as Json[])
    add('NodeRegistry', {
      url: row['url'],
      nodeId: row['nodeId'],
      region: row['region'],
      status: row['status'],
      production: row['production'],
      support: row['support'],
    });
  for await (const row of paged(node, '/api/keys', 'keys'))
    add('Keys', { id: row['id'], userId: row['userId'], scopes: row['scopes'] });
  for await (const [key, value] of db.level.iterator(range('notifications'))) {
    const { userId, notificationId, message, read, createdAt } = verifiedJson<Json>(key, value);
    add('Notifications', { userId, notificationId, message, read, createdAt });
  }
  return tables;
}

async function* paged(node: TestNode, path: string, name: string): AsyncGenerator<Json> {
  for (let cursor = ''; ;) {
    const page = await ask(
      node,
      'GET',
      `${path}?limit=500${cursor === '' ? '' : `&cursor=${encodeURIComponent(cursor)}`}`,
    );
    yield* page[name] as Json[];
    const next = page['cursor'];
    if (typeof next !== 'string') return;
    cursor = next;
  }
}
