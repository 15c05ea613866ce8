import { rmSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { signEntry } from '../../protocols/feed/entry.ts';
import { makeForkProof } from '../../protocols/feed/fork.ts';
import { draftEdit } from '../../protocols/ledger/drafts.ts';
import { verifyTransition } from '../../protocols/market/contract/statement.ts';
import { type Identity, identityFromSeed, type PeerId } from '../../protocols/wire/identity.ts';
import { parsePublicId, recordKey, type RecordKey } from '../../protocols/wire/ids.ts';
import { Reader } from '../../storage/reader.ts';
import { filesWith } from '../support/files-with.ts';
import { befriend, startNode, type TestNode } from '../support/in-process-node.ts';
import { tempDir } from '../support/temp-dir.ts';
import { waitFor } from '../support/wait.ts';
import { deal } from '../support/terms.ts';

interface Step {
  readonly kind: string;
  readonly party: string;
  readonly standing: string;
  readonly hash: string;
}
interface Contract {
  readonly contractId: string;
  readonly state: string;
  readonly code?: string;
  readonly price?: number;
  readonly settledBy?: readonly string[];
  readonly conflicts?: Readonly<Record<string, readonly { readonly value: unknown }[]>>;
  readonly transitions: readonly Step[];
  readonly pings: readonly { readonly notes?: string }[];
}

const identities = [21, 22, 23].map((seed) => identityFromSeed(new Uint8Array(32).fill(seed)));
const [BUYER, SUPPLIER, THIRD] = identities as [Identity, Identity, Identity];
const env = { RATE_LIMIT: 'off' };
const settings: Record<string, string> = env;
let dirs: ReturnType<typeof tempDir>[] = [];
let running: TestNode[] = [];

async function start(identity: Identity, dir?: string): Promise<TestNode & { readonly dir: string }> {
  const own = dir === undefined ? tempDir('contracts') : undefined;
  if (own !== undefined) dirs.push(own);
  const path = dir ?? own?.path ?? '';
  const node = Object.assign(await startNode(path, settings, identity), { dir: path });
  running.push(node);
  return node;
}
async function stop(node: TestNode): Promise<void> {
  running = running.filter((each) => each !== node);
  await node.stop();
}
beforeEach(() => {
  dirs = [];
  running = [];
});
afterEach(async () => {
  await Promise.all(running.map((node) => node.stop()));
  for (const dir of dirs) dir.remove();
});

const ask = async (node: TestNode, method: string, path: string, body?: unknown): Promise<Contract> =>
  (await (await node.request(method, path, body)).json()) as Contract;
const at = ({ contractId }: Pick<Contract, 'contractId'>): string => `/contracts/${contractId}`;

/** What one node holds, once the check agrees to it. */
async function seen(node: TestNode, path: string, check: (contract: Contract) => boolean): Promise<Contract> {
  let last: unknown;
  try {
    return await waitFor(
      'the contract to stand so',
      async () => {
        const contract = await ask(node, 'GET', path);
        last = contract;
        return contract.contractId !== undefined && check(contract) && contract;
      },
      20_000,
    );
  } catch (error) {
    throw new Error(JSON.stringify(last), { cause: error });
  }
}
const inState =
  (state: string) =>
  (contract: Contract): boolean =>
    contract.state === state;

/** Neither takes what the other writes, until they are joined again. */
async function cut(a: TestNode, b: TestNode): Promise<void> {
  await a.request('POST', `/federation/nodes/${b.peerId}/suspend`);
  await b.request('POST', `/federation/nodes/${a.peerId}/suspend`);
}
async function heal(a: TestNode, b: TestNode): Promise<void> {
  await a.request('POST', `/federation/nodes/${b.peerId}/resume`);
  await b.request('POST', `/federation/nodes/${a.peerId}/resume`);
}

async function begin(buyer: TestNode, supplier: TestNode, fields: object = {}): Promise<string> {
  const made = await ask(buyer, 'POST', '/contracts', {
    buyerId: 'amina',
    supplierId: `ben@${supplier.peerId}`,
    ...deal(10),
    ...fields,
  });
  expect(made).toMatchObject({ state: 'proposed' });
  await seen(supplier, at(made), inState('proposed'));
  return at(made);
}
function keyOf(path: string, self: PeerId): RecordKey {
  const id = parsePublicId(path.slice('/contracts/'.length), self);
  if (id === undefined) throw new Error('no id');
  return recordKey('contracts', id.owner, id.id);
}

/** Everything that the author has said in this channel is said twice, from its first entry on: as if its key were used by two. */
async function fork(holder: TestNode, author: Identity, channel: RecordKey): Promise<void> {
  const { store, ledger } = holder.node;
  let forked = 0;
  for (const feed of store.feeds(author.peerId, channel)) {
    const entry = await store.entry(feed.no, 1);
    if (entry === undefined) continue;
    const { n, root, ...place } = entry.header;
    const other = signEntry(author, { ...place, time: [place.time[0] + n + root.length, 7] }, [
      new TextEncoder().encode('something else'),
    ]);
    expect(await ledger.receiveProof(makeForkProof(entry, other).bytes)).toBe('new');
    forked++;
  }
  expect(forked).toBeGreaterThan(0);
}

describe('what a party has signed stands', () => {
  it('when that party’s feed forks after it accepted, and again after it settled', async () => {
    const [buyer, supplier] = [await start(BUYER), await start(SUPPLIER)];
    await befriend(buyer, supplier);
    for (const settles of [false, true]) {
      const path = await begin(buyer, supplier);
      await ask(supplier, 'POST', `${path}/accept`, {});
      await seen(buyer, path, inState('accepted'));
      if (settles) {
        await ask(buyer, 'POST', `${path}/settle`, {});
        await seen(supplier, path, ({ settledBy }) => settledBy?.length === 1);
        await ask(supplier, 'POST', `${path}/settle`, {});
        await seen(buyer, path, inState('settled'));
      }
      const key = keyOf(path, BUYER.peerId);
      const signed = (await ask(buyer, 'GET', path)).transitions.filter(({ party }) =>
        party.startsWith('ben@'),
      );
      const reader = new Reader(buyer.node.db);
      // The buyer's node has repeated the answer in a fact of its own by itself.
      await waitFor('the answer to be kept', async () => {
        const own = (await reader.factsOf('transitions', key, 100)).filter(({ key: k }) =>
          k.includes(BUYER.peerId),
        );
        const carried = own.flatMap(({ view }) =>
          String(view['carried'] ?? '')
            .split('.')
            .filter((one) => one !== ''),
        );
        const hashes = carried.map(
          (one) => verifyTransition(new Uint8Array(Buffer.from(one, 'base64url'))).hash,
        );
        return signed.every(({ hash }) => hashes.includes(hash));
      });
      await fork(buyer, SUPPLIER, key);
      const facts = await reader.factsOf('transitions', key, 100);
      expect(facts.filter(({ key: fact }) => fact.includes(SUPPLIER.peerId))).toEqual([]);
      const after = await ask(buyer, 'GET', path);
      expect(after.state).toBe(settles ? 'settled' : 'accepted');
      if (!settles) expect((await ask(buyer, 'POST', `${path}/settle`, {})).settledBy).toHaveLength(1);
    }
  });

  it('when that party is suspended, and when it loses its disk', async () => {
    const buyer = await start(BUYER);
    let supplier = await start(SUPPLIER);
    await befriend(buyer, supplier);
    const path = await begin(buyer, supplier);
    await ask(supplier, 'POST', `${path}/accept`, {});
    await seen(buyer, path, inState('accepted'));
    await ask(supplier, 'POST', `${path}/settle`, {});
    await seen(buyer, path, ({ settledBy }) => settledBy?.length === 1);
    await buyer.request('POST', `/federation/nodes/${supplier.peerId}/suspend`);
    expect((await ask(buyer, 'POST', `${path}/settle`, {})).state).toBe('settled');
    await buyer.request('POST', `/federation/nodes/${supplier.peerId}/resume`);
    await stop(supplier);
    rmSync(supplier.dir, { recursive: true });
    supplier = await start(SUPPLIER, supplier.dir);
    expect((await supplier.request('GET', path)).status).toBe(404);
    await befriend(buyer, supplier);
    const back = await seen(supplier, path, inState('settled'));
    expect(back).toEqual(await ask(buyer, 'GET', path));
    expect(back.transitions.every(({ standing }) => standing === 'applied')).toBe(true);
  });
});

it('two who edit one term apart see the same winner and loser, and one of them settles it for both', async () => {
  const [buyer, supplier] = [await start(BUYER), await start(SUPPLIER)];
  await befriend(buyer, supplier);
  const path = await begin(buyer, supplier, { price: 40 });
  await cut(buyer, supplier);
  expect((await ask(buyer, 'PATCH', path, { price: 42 })).price).toBe(42);
  expect((await ask(supplier, 'PATCH', path, { price: 43 })).price).toBe(43);
  await heal(buyer, supplier);
  const torn = ({ conflicts }: Contract): boolean => conflicts?.['price']?.length === 2;
  const both = [await seen(buyer, path, torn), await seen(supplier, path, torn)];
  expect(both[0]).toEqual(both[1]);
  expect((await ask(buyer, 'POST', `${path}/propose`, {})).code).toBe('terms-conflict');
  expect((await ask(supplier, 'POST', `${path}/accept`, {})).code).toBe('terms-changed');
  await ask(supplier, 'PATCH', path, { price: 41 });
  const whole = ({ price, conflicts }: Contract): boolean => price === 41 && conflicts === undefined;
  expect(await seen(buyer, path, whole)).toEqual(await seen(supplier, path, whole));
  await ask(buyer, 'POST', `${path}/propose`, {});
  await seen(supplier, path, ({ transitions }) => transitions.length === 2);
  expect(await ask(supplier, 'POST', `${path}/accept`, {})).toMatchObject({
    agreement: { terms: { price: 41 } },
  });
});

it('an agreed contract whose document two nodes that keep no rule write apart has no conflict of terms', async () => {
  const [buyer, supplier] = [await start(BUYER), await start(SUPPLIER)];
  await befriend(buyer, supplier);
  const path = await begin(buyer, supplier, { price: 40 });
  const key = keyOf(path, BUYER.peerId);
  const listed = async (
    node: TestNode,
  ): Promise<readonly { readonly id: string; readonly field: string }[]> =>
    (
      (await (await node.request('GET', '/conflicts')).json()) as {
        conflicts: { id: string; field: string }[];
      }
    ).conflicts;
  const apart = async (wish: readonly [number, number]): Promise<void> => {
    await cut(buyer, supplier);
    for (const [node, price] of [
      [buyer, wish[0]],
      [supplier, wish[1]],
    ] as const)
      await node.node.ledger.write({
        keys: [key],
        draft: (pen, read) => [draftEdit(pen, key, key, read(key), { price })],
      });
    await heal(buyer, supplier);
    await Promise.all(
      [buyer, supplier].map((node) =>
        waitFor(
          'both prices to be there',
          async () => (await new Reader(node.node.db).get(key))?.conflicts['price']?.length === 2,
          20_000,
        ),
      ),
    );
  };
  await apart([42, 43]);
  for (const node of [buyer, supplier]) expect(await listed(node)).toMatchObject([{ field: 'price' }]);
  await ask(supplier, 'PATCH', path, { price: 41 });
  await seen(buyer, path, ({ price, conflicts }) => price === 41 && conflicts === undefined);
  await ask(buyer, 'POST', `${path}/propose`, {});
  await seen(supplier, path, ({ transitions }) => transitions.length === 2);
  await ask(supplier, 'POST', `${path}/accept`, {});
  await seen(buyer, path, inState('accepted'));
  await apart([1, 2]);
  for (const node of [buyer, supplier]) {
    expect(await listed(node)).toEqual([]);
    expect((await ask(node, 'GET', path)).price).toBe(41);
    const id = Buffer.from(key).toString('base64url');
    const refused = await ask(node, 'POST', `/conflicts/${id}/resolve`, { field: 'price', value: 1 });
    expect(refused.code).toBe('contract-state');
  }
});

it('a third node holds no byte of it, neither of its terms nor of its news', async () => {
  const MARK = 'heliotrope-93-sacks-under-the-bridge';
  const [buyer, supplier, third] = [await start(BUYER), await start(SUPPLIER), await start(THIRD)];
  for (const [a, b] of [
    [buyer, supplier],
    [buyer, third],
    [supplier, third],
  ] as const)
    await befriend(a, b);
  const path = await begin(buyer, supplier, { notes: MARK });
  await ask(supplier, 'POST', `${path}/accept`, {});
  await seen(buyer, path, inState('accepted'));
  await ask(supplier, 'POST', `${path}/pings`, { percentComplete: 10, notes: MARK });
  await seen(buyer, path, ({ pings }) => pings[0]?.notes === MARK);
  // Something public of both has come all the way: the way was open.
  for (const author of [buyer, supplier])
    await author.request('POST', '/listings', { type: 'offer', title: 'sign' });
  await waitFor('the signs to arrive', async () => {
    const { listings } = (await (await third.request('GET', '/listings')).json()) as { listings: unknown[] };
    return listings.length === 2;
  });
  expect((await third.request('GET', path)).status).toBe(404);
  expect(await (await third.request('GET', '/contracts')).json()).toEqual({ contracts: [] });
  const nodes = [buyer, supplier, third];
  for (const node of nodes) await stop(node);
  const id = path.split('.').at(-1) ?? '';
  for (const text of [MARK, id, 'amina@']) {
    const holds = nodes.map(({ dir }) => filesWith(dir, text).length > 0);
    expect(holds, text).toEqual([true, true, false]);
  }
});
