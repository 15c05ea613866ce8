import { afterAll, beforeAll, expect, test } from 'vitest';
import type { StoredWant } from '../../daemon/wants/want-book.ts';
import { REGISTRY_LIMITS } from '../../protocols/registry/registry.ts';
import { WantTable } from '../../storage/want-table.ts';
import { type ApiDocument, operationsOf } from '../support/api-document.ts';
import { Hand, listingOps, priceOps, randomFrom, someIdentity } from '../support/forge.ts';
import { registerHere, startNode, TEST_KEY, type TestNode } from '../support/in-process-node.ts';
import { loopLine, STRETCH_MS, watchLoop } from '../support/loop-watch.ts';
import { tempDir } from '../support/temp-dir.ts';

const random = randomFrom(8);
const USERS = 200;
/** As many as a user, and all of them together, may have. */
const WANTS_EACH = 50;
const dir = tempDir('many-rows');
let node: TestNode;

/** As many nodes as a registry holds, each the author of a listing and of a price of its own region. */
async function fillAuthors(): Promise<void> {
  const entries: Uint8Array[] = [];
  for (let n = 0; n < REGISTRY_LIMITS.nodes; n++) {
    const hand = new Hand(someIdentity(random), random.hex(8));
    await registerHere(node, hand.identity.peerId);
    const place = { title: `maize ${n}`, region: `region-${n}`, commodity: `commodity-${n}` };
    const listing = listingOps(hand.pen, `l${n}`, undefined, place);
    entries.push(hand.next([...listing, ...priceOps(hand.pen, `market-${n}`, n + 1)]).bytes);
  }
  for (let from = 0; from < entries.length; from += 64) {
    const results = await node.node.ledger.receive(entries.slice(from, from + 64));
    expect(results.filter(({ kind }) => kind !== 'accept')).toEqual([]);
  }
}

/** Entries of the directory, keys, and saved searches, which are held once the database was opened again. */
async function fillUsers(): Promise<void> {
  const { users, keys } = node.context;
  const table = new WantTable<StoredWant>(node.node.db);
  for (let u = 0; u < USERS; u++) {
    const userId = `user-${u}`;
    await users.change(userId, { displayName: userId });
    const wants = Array.from({ length: WANTS_EACH }, (_, n) => {
      const query = { q: `maize ${u}`, region: `region-${n}` };
      return { userId, query, id: `${u}-${n}`, createdAt: u * WANTS_EACH + n, after: 0 };
    });
    await table.change(wants, []);
    await keys.issue({ scopes: ['read'], userId, expiresIn: 3600 });
  }
}

beforeAll(async () => {
  node = await startNode(dir.path, { RATE_LIMIT: 'off', SYNC_INTERVAL_MINUTES: '0' });
  await fillAuthors();
  await fillUsers();
}, 300_000);
afterAll(async () => {
  await node.stop();
  dir.remove();
});

/** Answers that end when the client goes. */
const ENDLESS = ['/events'];

/** Milliseconds of CPU in the longest turn; of several tries, for the first is compiled, and any one may meet the garbage collector. */
async function longestTurn(what: string, work: () => Promise<unknown>): Promise<number> {
  let best = Infinity;
  for (let tries = 0; tries < 4 && best >= STRETCH_MS; tries++) {
    const { result, ...figures } = await watchLoop(work);
    best = Math.min(best, figures.cpuMs);
    if (best < STRETCH_MS) console.info(loopLine(`${what} ${String(result)}`, figures));
  }
  return best;
}

test('what is kept in memory of a database that was opened again is read in turns', async () => {
  const digest = await node.digest();
  const { db, store, hooks } = node.node;
  const reload = async (): Promise<void> => {
    await store.reload();
    await hooks.reopened.emitAndWait();
  };
  expect(await longestTurn('reopened', () => db.reopen(reload))).toBeLessThan(STRETCH_MS);
  expect(await node.digest()).toBe(digest);
  expect((await node.context.wants.list('user-7', 100)).wants).toHaveLength(WANTS_EACH);
}, 60_000);

test('whatever a node keeps as much of as it may is read in turns, by every route that reads', async () => {
  const document = (await (await node.request('GET', '/openapi.json')).json()) as ApiDocument;
  const paths = operationsOf(document)
    .filter(({ method, path }) => method === 'get' && !path.includes('{') && !ENDLESS.includes(path))
    .map(({ path }) => path);
  expect(paths.length).toBeGreaterThan(40);
  const slow: string[] = [];
  for (const path of ['/', ...paths]) {
    const ms = await longestTurn(path, async () => {
      const answer = await node.app.request(path, { headers: { 'x-api-key': TEST_KEY } });
      return [answer.status, (await answer.arrayBuffer()).byteLength];
    });
    if (ms >= STRETCH_MS) slow.push(`${path}: ${ms} ms`);
  }
  expect(slow).toEqual([]);
}, 180_000);
