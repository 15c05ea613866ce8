import { cpSync, rmSync } from 'node:fs';
import { type AttributeValue, DeleteTableCommand } from '@aws-sdk/client-dynamodb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { identityFromSeed, type Identity } from '../../protocols/wire/identity.ts';
import { type DynamoKind, javaLacking, mirrorEnv, startDynamo, type TestDynamo } from '../support/dynamo.ts';
import { startNode, type TestNode } from '../support/in-process-node.ts';
import { expectSameTables, KEYS, makeMarket } from '../support/mirror-market.ts';
import { seededRandom } from '../support/random.ts';
import { tempDir } from '../support/temp-dir.ts';
import { waitFor } from '../support/wait.ts';
import { broughtOut, mirrorOf, mirrorRound, QUICK } from '../sim/mirror.ts';

/** CI's share; a campaign takes more (see test/sim/mirror.ts). */
const RECORDS = Number(process.env['RECORDS'] ?? 1000);
const SEEDS: Readonly<Record<DynamoKind, number>> = { jar: 5, dynalite: 1 };
const MINUTES = 60_000;
/** Without the proxy nobody delays an answer: only a busy machine would make it late. */
const UNHURRIED = { ...QUICK, requestMs: 5000 };

interface Difference {
  readonly table: string;
  readonly key: readonly string[];
  readonly kind: string;
}
interface Checked {
  readonly differences: Difference[];
  readonly end: {
    readonly finished?: true;
    readonly items: Record<string, number>;
    readonly foreign: Record<string, number>;
    readonly pending: number;
    readonly differences: number;
    readonly repaired?: number;
    readonly error?: string;
  };
}

async function check(node: TestNode, what: 'verify' | 'repair', body?: object): Promise<Checked> {
  const response = await node.request(
    'POST',
    `/mirror/${what}`,
    what === 'repair' ? (body ?? {}) : undefined,
  );
  const lines = (await response.text()).trim().split('\n');
  const read = lines.map((line) => JSON.parse(line) as { difference?: Difference } & Checked['end']);
  const end = read.at(-1);
  if (end?.finished !== true) throw new Error(`${what} was broken off: ${JSON.stringify(end)}`);
  return { differences: read.flatMap(({ difference }) => difference ?? []), end };
}

describe.each(['jar', 'dynalite'] as const)('the mirror on %s', (kind) => {
  const lacking = kind === 'jar' ? javaLacking() : undefined;
  describe.skipIf(lacking !== undefined)(
    `item by item${lacking === undefined ? '' : ` (${lacking})`}`,
    () => {
      const dirs: ReturnType<typeof tempDir>[] = [];
      let dynamo: TestDynamo;
      let sets = 0;
      beforeAll(async () => {
        dynamo = await startDynamo(kind);
      });
      afterAll(async () => {
        await dynamo.stop();
        for (const dir of dirs) dir.remove();
      });

      const folder = (): string => {
        const dir = tempDir('mirror');
        dirs.push(dir);
        return dir.path;
      };
      /** Tables that no other test has. */
      const set = (): string => `set${++sets}-`;
      const open = (path: string, prefix: string, identity?: Identity, limits = {}): Promise<TestNode> =>
        startNode(path, { ...mirrorEnv(dynamo.url), MIRROR_PREFIX: prefix, RATE_LIMIT: 'off' }, identity, {
          mirrorLimits: { ...UNHURRIED, ...limits },
        });
      const init = async (
        node: TestNode,
        takeOver = false,
      ): Promise<{ made: string[]; state: string; detail: string }> => {
        const response = await node.request('POST', '/mirror/init', { takeOver });
        return (await response.json()) as { made: string[]; state: string; detail: string };
      };
      const until = (node: TestNode, state: string): ReturnType<typeof mirrorOf> =>
        waitFor(`the mirror to be ${state}`, async () => {
          const shown = await mirrorOf(node);
          return shown.state === state && shown;
        });

      it(
        `makes the tables on request only, and mirrors ${RECORDS} records`,
        { timeout: 10 * MINUTES },
        async () => {
          const prefix = set();
          const node = await open(folder(), prefix);
          try {
            const missing = await until(node, 'tables-missing');
            expect(missing.detail).toContain('agrinet mirror init');
            const ready = (await (await node.request('GET', '/ready')).json()) as { degraded: string[] };
            expect(ready.degraded.join()).toContain('tables-missing');
            const { made } = await init(node);
            expect(made.sort()).toEqual(
              [...Object.keys(KEYS), 'MirrorMeta'].map((name) => prefix + name).sort(),
            );
            await makeMarket(node, RECORDS, seededRandom(7));
            await broughtOut(node, 5 * MINUTES);
            expect(await expectSameTables(node, dynamo, prefix)).toBeGreaterThan(RECORDS * 0.9);
            const { differences, end } = await check(node, 'verify');
            expect([differences, end.pending]).toEqual([[], 0]);
          } finally {
            await node.stop();
          }
        },
      );

      for (let seed = 1; seed <= SEEDS[kind]; seed++)
        it(
          `through throttling, reordering, drops and lost answers, seed ${seed}`,
          { timeout: 5 * MINUTES },
          async () => {
            const { items, faults, failures } = await mirrorRound(dynamo, {
              seed,
              records: 200,
              faulty: true,
            });
            expect(items).toBeGreaterThan(180);
            expect(Object.keys(faults).sort()).toEqual(
              expect.arrayContaining(['cut after success', 'delayed', 'dropped', 'late', 'throttled']),
            );
            expect(failures).toBeGreaterThan(0);
          },
        );

      it(
        'names 100 planted differences exactly, mends them, and leaves the old back end’s own items',
        { timeout: 5 * MINUTES },
        async () => {
          const prefix = set();
          const random = seededRandom(100);
          const node = await open(folder(), prefix);
          try {
            await init(node);
            await makeMarket(node, 300, random);
            await broughtOut(node, 2 * MINUTES);
            const planted = await plant(dynamo, prefix, 100, random);
            await dynamo.put(`${prefix}Listings`, { id: { S: 'of the old back end' }, title: { S: 'kept' } });
            const found = await check(node, 'verify');
            expect(named(found.differences)).toEqual(named(planted));
            expect(found.end.foreign['Listings']).toBe(1);
            const repaired = await check(node, 'repair');
            expect([named(repaired.differences), repaired.end.repaired]).toEqual([named(planted), 100]);
            const again = await check(node, 'verify');
            expect([again.differences, again.end.pending]).toEqual([[], 0]);
            await dynamo.remove(`${prefix}Listings`, { id: { S: 'of the old back end' } });
            await broughtOut(node);
            await expectSameTables(node, dynamo, prefix);
            await dynamo.put(`${prefix}Prices`, { id: { S: 'of the old back end' } });
            expect((await check(node, 'repair', { deleteForeign: true })).end).toMatchObject({ repaired: 1 });
            expect((await check(node, 'verify')).end.foreign['Prices']).toBe(0);
          } finally {
            await node.stop();
          }
        },
      );

      it(
        'belongs to one daemon: another is refused, the same one starts again at once',
        { timeout: 3 * MINUTES },
        async () => {
          const prefix = set();
          const [first, other] = [folder(), folder()];
          const mine = identityFromSeed(Buffer.alloc(32, 41));
          const theirs = identityFromSeed(Buffer.alloc(32, 42));
          let node = await open(first, prefix, mine);
          await init(node);
          await node.request('PUT', '/listings/one', { type: 'offer', title: 'mine' });
          await broughtOut(node);
          const rival = await open(other, prefix, theirs, { leaseMs: 3000 });
          try {
            const refused = await until(rival, 'refused');
            expect(refused.detail).toContain(mine.peerId);
            expect((await init(rival, true)).state).toBe('refused');
            await rival.request('PUT', '/listings/two', { type: 'offer', title: 'theirs' });
            expect(rival.node.alarms.list().map(({ kind }) => kind)).toContain('mirror-refused');

            await node.stop();
            node = await open(first, prefix, mine);
            const again = await until(node, 'running');
            expect(again.incarnation).toBe(2);
            await node.request('PATCH', '/listings/one', { title: 'still mine' });
            await broughtOut(node);
            expect((await dynamo.items(`${prefix}Listings`, ['id'])).size).toBe(1);

            await node.stop();
            // It stopped in order, so nobody is there any more: yet only at the operator's word does another take its place.
            expect((await init(rival)).state).toBe('refused');
            expect((await until(rival, 'refused')).detail).toContain('--take-over');
            await init(rival, true);
            await broughtOut(rival);
            // What belonged to the first is nothing that this node holds.
            await waitFor(
              'the repair',
              async () => (await mirrorOf(rival)).state === 'running' && rivalOnly(),
            );
            async function rivalOnly(): Promise<boolean> {
              const items = await dynamo.items(`${prefix}Listings`, ['id']);
              return [...items.keys()].join() === `${theirs.peerId}.two`;
            }
          } finally {
            await rival.stop();
          }
        },
      );

      it('gives way to a newer process of the same node', { timeout: 2 * MINUTES }, async () => {
        const prefix = set();
        const [first, copy] = [folder(), folder()];
        const identity = identityFromSeed(Buffer.alloc(32, 43));
        const node = await open(first, prefix, identity, { renewMs: 200 });
        await init(node);
        await broughtOut(node);
        const newer = await open(copy, prefix, identity, { renewMs: 200 });
        try {
          await until(newer, 'running');
          expect((await until(node, 'displaced')).detail).not.toBe('');
          expect((await mirrorOf(newer)).incarnation).toBe(2);
        } finally {
          await node.stop();
          await newer.stop();
        }
      });

      it(
        'brings out what was written while it was off, and takes back what an older database does not have',
        { timeout: 3 * MINUTES },
        async () => {
          const prefix = set();
          const path = folder();
          const kept = `${folder()}/copy`;
          const identity = identityFromSeed(Buffer.alloc(32, 44));
          const put = (node: TestNode, id: string): Promise<Response> =>
            node.request('PUT', `/listings/${id}`, { type: 'offer', title: id });
          const ids = async (): Promise<string> =>
            [...(await dynamo.items(`${prefix}Listings`, ['id'])).keys()]
              .map((id) => id.split('.')[1])
              .sort()
              .join();

          let node = await open(path, prefix, identity);
          await init(node);
          await put(node, 'first');
          await broughtOut(node);
          await node.stop();
          cpSync(path, kept, { recursive: true });

          node = await startNode(
            path,
            { ...mirrorEnv(dynamo.url), MIRROR_PREFIX: prefix, MIRROR: 'off' },
            identity,
          );
          await put(node, 'while-off');
          expect(await mirrorOf(node)).toMatchObject({ state: 'off', outbox: 0 });
          expect((await node.request('POST', '/mirror/verify')).status).toBe(409);
          await node.stop();
          node = await open(path, prefix, identity);
          await broughtOut(node);
          expect(await ids()).toBe('first,while-off');
          await node.stop();

          // The disk is put back to what it was: the database does not know of the second one.
          rmSync(path, { recursive: true });
          cpSync(kept, path, { recursive: true });
          node = await open(path, prefix, identity);
          await put(node, 'after');
          await waitFor(
            'the repair',
            async () => (await mirrorOf(node)).state === 'running' && (await ids()) === 'after,first',
          );
          await node.stop();
        },
      );

      it(
        'refuses what DynamoDB never takes, says which and why, and goes on with the rest',
        { timeout: 2 * MINUTES },
        async () => {
          const prefix = set();
          const node = await open(folder(), prefix);
          try {
            await init(node);
            await node.request('PUT', '/listings/tiny', { type: 'offer', title: 'tiny', price: 1e-200 });
            await node.request('PUT', '/listings/good', { type: 'offer', title: 'good' });
            const shown = await waitFor('the refusal', async () => {
              const now = await mirrorOf(node);
              return now.refused.count === 1 && now.lag.entries === 0 && now;
            });
            expect(shown.refused.rows[0]?.key).toBe(`r!listings/${node.peerId}/tiny`);
            expect(shown.refused.rows[0]?.reason).toMatch(/magnitude|smaller|range/i);
            expect([...(await dynamo.items(`${prefix}Listings`, ['id'])).keys()]).toEqual([
              `${node.peerId}.good`,
            ]);
            expect(await check(node, 'verify')).toMatchObject({ differences: [], end: { pending: 1 } });
            await node.request('PATCH', '/listings/tiny', { price: 2 });
            await broughtOut(node);
            expect((await dynamo.items(`${prefix}Listings`, ['id'])).size).toBe(2);
          } finally {
            await node.stop();
          }
        },
      );

      it('fills a table that was deleted and made again', { timeout: 2 * MINUTES }, async () => {
        const prefix = set();
        const node = await open(folder(), prefix);
        try {
          await init(node);
          await node.request('PUT', '/listings/a', { type: 'offer', title: 'a' });
          await broughtOut(node);
          await dynamo.client.send(new DeleteTableCommand({ TableName: `${prefix}Listings` }));
          await node.request('PUT', '/listings/b', { type: 'offer', title: 'b' });
          await until(node, 'tables-missing');
          expect((await init(node)).made).toEqual([`${prefix}Listings`]);
          await waitFor('both', async () => (await dynamo.items(`${prefix}Listings`, ['id'])).size === 2);
        } finally {
          await node.stop();
        }
      });
    },
  );
});

const named = (differences: readonly Difference[]): string[] =>
  differences.map(({ table, key, kind }) => `${table} ${key.join(' ')}: ${kind}`).sort();

/** Changes items behind the mirror's back in every way that can be told. */
async function plant(
  dynamo: TestDynamo,
  prefix: string,
  count: number,
  random: () => number,
): Promise<Difference[]> {
  const all: { table: string; names: readonly string[]; item: Record<string, AttributeValue> }[] = [];
  for (const [table, names] of Object.entries(KEYS))
    for (const item of (await dynamo.items(prefix + table, names)).values())
      if (item['_deleted'] === undefined) all.push({ table, names, item });
  const planted: Difference[] = [];
  for (let i = 0; i < count; i++) {
    const [next] = all.splice(Math.floor(random() * all.length), 1);
    if (next === undefined) throw new Error(`there are only ${i} items`);
    const { table, names, item } = next;
    const name = prefix + table;
    const key = names.map((each) => item[each]?.S ?? '');
    const keyItem = Object.fromEntries(names.map((each, at) => [each, { S: key[at] ?? '' }]));
    const note = (kind: string): number => planted.push({ table, key, kind });
    switch (i % 8) {
      case 0:
        await dynamo.remove(name, keyItem);
        note('missing');
        break;
      case 1:
        await dynamo.put(name, { ...item, planted: { S: 'x' } });
        note('differs');
        break;
      case 2: {
        const { _source: _, ...rest } = item;
        await dynamo.put(name, rest);
        note('differs');
        break;
      }
      case 3: {
        const other = Object.fromEntries(names.map((each, at) => [each, { S: `${key[at]}-extra-${i}` }]));
        await dynamo.put(name, { ...item, ...other });
        planted.push({ table, key: names.map((each) => other[each]?.S ?? ''), kind: 'extra' });
        break;
      }
      case 4:
        await dynamo.put(name, { ...item, _version: { L: [{ N: '1e30' }, { N: '1' }] } });
        note('version');
        break;
      case 5:
        await dynamo.put(name, {
          ...item,
          _version: { L: [{ N: '999999' }, { N: '1' }] },
          changed: { BOOL: true },
        });
        note('differs');
        break;
      case 6:
        await dynamo.put(name, { ...item, _version: { S: 'newest' } });
        note('version');
        break;
      default:
        await dynamo.put(name, {
          ...keyItem,
          _deleted: { BOOL: true },
          _source: { S: 'r!nothing' },
          _version: { L: [{ N: '1' }, { N: '999999999' }] },
        });
        note('differs');
    }
  }
  return planted;
}
