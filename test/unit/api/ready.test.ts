import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type StoredKey, keyTable } from '../../../storage/key-table.ts';
import { startNode, type TestNode } from '../../support/in-process-node.ts';
import { redisLacking, startRedis, type TestRedis } from '../../support/redis.ts';
import { tempDir } from '../../support/temp-dir.ts';
import { waitFor } from '../../support/wait.ts';

interface Ready {
  readonly status: string;
  readonly code?: string;
  readonly degraded?: readonly string[];
}

let dir: ReturnType<typeof tempDir>;
let node: TestNode | undefined;
beforeEach(() => {
  dir = tempDir('ready');
});
afterEach(async () => {
  await node?.stop();
  node = undefined;
  dir.remove();
});

async function ready(of: TestNode): Promise<Ready> {
  return (await (await of.app.request('/ready')).json()) as Ready;
}

const lacking = redisLacking();
describe.skipIf(lacking !== undefined)(`with Redis${lacking ? ` (${lacking})` : ''}`, () => {
  let redis: TestRedis;
  beforeEach(async () => {
    redis = await startRedis();
  });
  afterEach(() => redis.remove());

  it('Redis away is told as degraded, and the node goes on; back again it is not', async () => {
    const started = await startNode(dir.path, { REDIS_URL: redis.url });
    node = started;
    const degraded = (yes: boolean) => async () => ((await ready(started)).degraded?.length ?? 0) > 0 === yes;
    await waitFor('Redis to be there', degraded(false));
    await redis.kill();
    await waitFor('Redis to be missed', degraded(true));
    const told = await ready(started);
    expect(told).toMatchObject({ status: 'ready', degraded: [expect.stringMatching(/redis/i)] });
    expect(JSON.stringify(told)).not.toContain(redis.url);
    const made = await started.request('POST', '/listings', { type: 'offer', title: 'Maize' });
    expect(made.status).toBe(201);
    await redis.restart();
    await waitFor('Redis to be back', degraded(false), 20_000);
  });
});

it('keys are read again when the database was opened anew after an error', async () => {
  const started = await startNode(dir.path);
  node = started;
  const { db } = started.node;
  const made = await started.request('POST', '/api/keys', { userId: 'amina' });
  const { key, id } = (await made.json()) as { key: string; id: string };
  const used = async (): Promise<number> =>
    (await started.app.request('/listings', { headers: { 'x-api-key': key } })).status;
  expect(await used()).toBe(200);

  // What memory does not know: as after a batch that failed for the caller and yet stands in the database.
  const table = keyTable(db, () => undefined);
  const row = (await table.load()).find((each) => each.id === id);
  const revoked: StoredKey[] = row === undefined ? [] : [{ ...row, revokedAt: Date.now() }];
  await table.write(revoked, [], { sync: true });
  expect(await used()).toBe(200);

  await db.level.close();
  await expect(db.batch([], true)).rejects.toMatchObject({ code: 'storage-failed' });
  const refused = await started.request('POST', '/listings', { type: 'offer', title: 'Maize' });
  expect([refused.status, await refused.json()]).toMatchObject([503, { code: 'storage-failed' }]);
  expect(await ready(started)).toMatchObject({ status: 'not-ready', code: 'storage-failed' });
  await waitFor('the node to write again', async () => (await ready(started)).status === 'ready');
  expect(await used()).toBe(403);
  expect((await started.request('POST', '/listings', { type: 'offer', title: 'Maize' })).status).toBe(201);
});
