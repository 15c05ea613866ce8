import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { identityFromSeed } from '../../../protocols/wire/identity.ts';
import { Database } from '../../../storage/database.ts';
import { fullKey, range } from '../../../storage/keyspace.ts';
import { sealJson } from '../../../storage/values.ts';
import { catalogueDigest } from '../../support/catalogue-digest.ts';
import { startNode } from '../../support/in-process-node.ts';
import { tempDir } from '../../support/temp-dir.ts';

let dir: ReturnType<typeof tempDir>;
beforeEach(() => {
  dir = tempDir('open-store');
});
afterEach(() => dir.remove());

it('after an upgrade of the schema everything is judged anew, and the result is the same', async () => {
  const identity = identityFromSeed(randomBytes(32));
  const first = await startNode(dir.path, {}, identity);
  await first.request('POST', '/listings', { type: 'offer', title: 'Maize', id: 'maize' });
  const digest = catalogueDigest(await (await first.request('GET', '/federation/digest')).json());
  await first.stop();

  // As an older version would have left it: its schema stamped, and a view that it derived differently.
  const db = await Database.open(dir.path);
  const schema = fullKey('meta', 'schema');
  await db.batch([{ type: 'put', key: schema, value: sealJson(schema, 0) }], true);
  for await (const key of db.level.keys(range('index'))) await db.level.del(key);
  await db.close();

  const again = await startNode(dir.path, {}, identity);
  expect(catalogueDigest(await (await again.request('GET', '/federation/digest')).json())).toBe(digest);
  const listed = await again.app.request('/listings?type=offer');
  expect(((await listed.json()) as { listings: unknown[] }).listings).toHaveLength(1);
  expect(again.node.alarms.list()).toEqual([]);
  await again.stop();
});
