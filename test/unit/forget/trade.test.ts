import { afterAll, beforeAll, expect, it } from 'vitest';
import { befriend, startNode, type TestNode } from '../../support/in-process-node.ts';
import { factsOf } from '../../support/examined.ts';
import { examineOnline } from '../../../daemon/doctor/examine.ts';
import { tempDir } from '../../support/temp-dir.ts';
import { waitFor } from '../../support/wait.ts';
import { DEAL } from '../../support/terms.ts';

const dirs = [tempDir('forget-trade'), tempDir('forget-trade')] as const;
let here: TestNode;
let there: TestNode;
const keys = new Map<string, string>();

type Json = Record<string, unknown>;
async function as(node: TestNode, user: string, method: string, path: string, body?: unknown): Promise<Json> {
  const headers = { 'x-api-key': keys.get(user) ?? '', 'content-type': 'application/json' };
  const init = body === undefined ? {} : { body: JSON.stringify(body) };
  return (await (await node.app.request(path, { method, headers, ...init })).json()) as Json;
}
/** The last line of what a long answer tells. */
async function lastLine(response: Response): Promise<Json> {
  const lines = (await response.text()).trim().split('\n');
  return JSON.parse(lines.at(-1) ?? '{}') as Json;
}
const owner = async (node: TestNode, of: TestNode): Promise<Json> =>
  ((await (await node.request('GET', '/federation/digest')).json()) as { owners: Record<string, Json> })
    .owners[of.peerId] ?? {};

beforeAll(async () => {
  here = await startNode(dirs[0].path);
  there = await startNode(dirs[1].path, { MYCELIUM_PEERS: here.addresses[0] ?? '' });
  await befriend(here, there);
  for (const [node, userId] of [
    [here, 'amina'],
    [there, 'ben'],
  ] as const) {
    const issued = await node.request('POST', '/api/keys', { userId, scopes: ['read', 'write'] });
    keys.set(userId, ((await issued.json()) as { key: string }).key);
  }
});
afterAll(async () => {
  await Promise.all([here.stop(), there.stop()]);
  for (const dir of dirs) dir.remove();
});

/** Amina buys from ben, both settle, and ben rates her. */
async function trade(): Promise<string> {
  const terms = { ...DEAL, quantity: 2, price: 30, buyerId: 'amina' };
  const made = await as(here, 'amina', 'POST', '/contracts', { ...terms, supplierId: `ben@${there.peerId}` });
  const id = String(made['contractId']);
  const state = (node: TestNode, user: string, wanted: string) =>
    waitFor(
      `${wanted} at ${user}`,
      async () => (await as(node, user, 'GET', `/contracts/${id}`))['state'] === wanted,
    );
  await state(there, 'ben', 'proposed');
  await as(there, 'ben', 'POST', `/contracts/${id}/accept`, {});
  await state(here, 'amina', 'accepted');
  await as(here, 'amina', 'POST', `/contracts/${id}/settle`, {});
  await as(there, 'ben', 'POST', `/contracts/${id}/settle`, {});
  await state(here, 'amina', 'settled');
  await state(there, 'ben', 'settled');
  for (const score of [1, 3])
    await as(there, 'ben', 'POST', '/submitRating', { contractId: id, to: `amina@${here.peerId}`, score });
  return id;
}

it('what a trade and its rating rest on stays when the other node is forgotten, and the rest comes back with it', async () => {
  const contract = await trade();
  for (let n = 0; n < 12; n++)
    await there.request('POST', '/listings', { type: 'offer', title: `Maize ${n}`, id: `maize-${n}` });
  await waitFor('all of it to be here', async () => (await here.digest()) === (await there.digest()));
  const whole = await owner(here, there);
  const told = async (): Promise<Json> => {
    const { updatedAt: _, ...shown } = await as(here, 'amina', 'GET', `/contracts/${contract}`);
    return shown;
  };
  const ratings = async (): Promise<unknown[]> =>
    (
      (await as(here, 'amina', 'GET', `/ratings?to=amina@${here.peerId}`))['ratings'] as { score: number }[]
    ).map(({ score }) => score);
  const before = await told();
  expect((await ratings()).toSorted()).toEqual([1, 3]);

  const path = `/federation/nodes/${there.peerId}/forget`;
  expect(await (await here.request('POST', path)).json()).toMatchObject({
    code: 'node-state',
    message: expect.stringContaining(`agrinet nodes revoke ${there.peerId}`) as string,
  });
  await here.request('POST', `/federation/nodes/${there.peerId}/revoke`);
  const planned = await lastLine(await here.request('GET', path));
  expect(planned).toMatchObject({ finished: true, nodeId: there.peerId, freedBytes: 0 });
  const gone = await lastLine(await here.request('POST', path));
  expect({ ...gone, freedBytes: 0 }).toEqual(planned);
  expect(gone['keptEntries']).toBeGreaterThan(0);

  expect(await told()).toEqual(before);
  // Of a rating that was corrected, the one that stands.
  expect(await ratings()).toEqual([3]);
  expect((await here.request('GET', '/listings/maize-1')).status).toBe(404);
  expect(await owner(here, there)).toMatchObject({
    frontier: [],
    forgotten: { since: expect.any(String) as string },
    collections: { ratings: { count: 1 } },
  });
  const feeds = (await (await here.request('GET', '/federation/feeds')).json()) as {
    feeds: { author: string }[];
  };
  expect(feeds.feeds.map(({ author }) => author)).not.toContain(there.peerId);
  const findings = examineOnline(await factsOf(here));
  expect(findings.filter(({ check }) => check === 'forgotten' || check === 'digests')).toMatchObject([
    {
      check: 'forgotten',
      severity: 'info',
      subject: there.peerId,
      remedy: `agrinet nodes approve ${there.peerId}, to get them back`,
    },
  ]);
  const logs = (await (await here.request('GET', '/logs?limit=50')).json()) as { logs: Json[] };
  expect(JSON.stringify(logs)).toContain('forgotten');

  await here.node.registry.change(there.peerId, 'approve');
  await waitFor(
    'all of it to come back',
    async () => (await here.digest()) === (await there.digest()),
    30_000,
  );
  expect(await owner(here, there)).toEqual(whole);
  expect(await told()).toEqual(before);
}, 90_000);
