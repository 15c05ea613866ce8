import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { draftEdit, draftFact } from '../../protocols/ledger/drafts.ts';
import {
  joinCarried,
  verifyTransition,
  signTransition,
  type TransitionBody,
} from '../../protocols/market/contract/statement.ts';
import type { ContractBook } from '../../protocols/market/contract-book/types.ts';
import { base64url } from '../../protocols/wire/bytes.ts';
import { type Identity, identityFromSeed } from '../../protocols/wire/identity.ts';
import { parsePublicId, recordKey, type RecordKey } from '../../protocols/wire/ids.ts';
import { befriend, startNode, type TestNode } from '../support/in-process-node.ts';
import { settle } from '../support/hand-clock.ts';
import { tempDir } from '../support/temp-dir.ts';
import { waitFor } from '../support/wait.ts';
import { deal } from '../support/terms.ts';

interface Contract {
  readonly contractId: string;
  readonly state: string;
  readonly transitions: readonly { readonly hash: string; readonly kind: string }[];
}

/** Buys, and signs and writes whatever it likes; and who sells, whose node keeps to the rules. */
const [MALLORY, SHOP] = [31, 32].map((seed) => identityFromSeed(new Uint8Array(32).fill(seed))) as [
  Identity,
  Identity,
];
const settings: Record<string, string> = { RATE_LIMIT: 'off' };
let dirs: ReturnType<typeof tempDir>[] = [];
let running: TestNode[] = [];
let shopDir = '';
let mallory: TestNode;
let shop: TestNode;

async function start(path: string, identity: Identity): Promise<TestNode> {
  const node = await startNode(path, settings, identity);
  running.push(node);
  return node;
}
async function restartShop(): Promise<void> {
  running = running.filter((each) => each !== shop);
  await shop.stop();
  shop = await start(shopDir, SHOP);
}
beforeEach(async () => {
  dirs = [tempDir('mallory'), tempDir('shop')];
  running = [];
  shopDir = dirs[1]?.path ?? '';
  mallory = await start(dirs[0]?.path ?? '', MALLORY);
  shop = await start(shopDir, SHOP);
  await befriend(mallory, shop);
});
afterEach(async () => {
  await Promise.all(running.map((node) => node.stop()));
  for (const dir of dirs) dir.remove();
});

async function ask<T = Contract>(node: TestNode, method: string, path: string, body?: unknown): Promise<T> {
  return (await (await node.request(method, path, body)).json()) as T;
}
const at = ({ contractId }: Pick<Contract, 'contractId'>): string => `/contracts/${contractId}`;
async function seen(node: TestNode, path: string, check: (contract: Contract) => boolean): Promise<Contract> {
  return waitFor(
    'the contract to stand so',
    async () => {
      const contract = await ask(node, 'GET', path);
      return contract.contractId !== undefined && check(contract) && contract;
    },
    15_000,
  );
}
function keyOf(path: string): RecordKey {
  const id = parsePublicId(path.slice('/contracts/'.length), MALLORY.peerId);
  if (id === undefined) throw new Error('no id');
  return recordKey('contracts', id.owner, id.id);
}
/** A statement of Mallory's, about anything. */
function signed(
  key: RecordKey,
  body: TransitionBody,
  before: readonly string[],
  when = Date.now(),
): Uint8Array {
  return signTransition(MALLORY, {
    ...body,
    net: 'test',
    contract: key,
    party: `amina@${MALLORY.peerId}`,
    before,
    at: when,
  });
}
async function write(
  key: RecordKey,
  statement: Uint8Array,
  carried: readonly Uint8Array[] = [],
): Promise<void> {
  const fields = {
    statement: base64url(statement),
    ...(carried.length === 0 ? {} : { carried: joinCarried(carried) }),
  };
  await mallory.node.ledger.write({
    keys: [key],
    draft: (pen) => [draftFact(pen, 'transitions', fields, key)],
  });
}
const hashOf = (bytes: Uint8Array): string => verifyTransition(bytes).hash;

async function offered(quantity: number): Promise<string> {
  const { id } = await ask<{ id: string }>(shop, 'POST', '/listings', {
    type: 'offer',
    status: 'active',
    ...deal(quantity),
    userId: 'ben',
  });
  await waitFor(
    'the listing',
    async () => (await mallory.request('GET', `/listings/${id}`)).status === 200,
    10_000,
  );
  return id;
}

describe('a counterparty whose node writes what it likes', () => {
  it('frees no stock by writing over the names of a contract, also after a restart', async () => {
    const listingId = await offered(10);
    const draft = await ask(mallory, 'POST', '/contracts', {
      buyerId: 'amina',
      listingId,
      quantity: 10,
      propose: false,
    });
    const path = at(draft);
    const key = keyOf(path);
    // The proposal it signs does not say of what listing, nor who takes part.
    await write(key, signed(key, { kind: 'propose', terms: deal(10), heads: [] }, []));
    const proposed = await seen(shop, path, ({ state }) => state === 'proposed');
    const proposal = proposed.transitions[0]?.hash;
    expect(await ask(shop, 'POST', `${path}/accept`, { proposal })).toMatchObject({ state: 'accepted' });
    for (let i = 0; i < 3; i++)
      await mallory.node.ledger.write({
        keys: [key],
        draft: (pen, read) => [
          draftEdit(pen, key, key, read(key), {
            listingId: `other-${i}`,
            supplierId: `x${i}`,
            buyerId: `y${i}`,
          }),
        ],
      });
    await waitFor(
      'the edit',
      async () => {
        const shown = await ask<{ laterEdits?: { listingId?: string } }>(shop, 'GET', path);
        return shown.laterEdits?.listingId === 'other-2';
      },
      10_000,
    );
    await restartShop();
    expect(await ask(shop, 'GET', path)).toMatchObject({ state: 'accepted' });
    const less = await shop.request('PATCH', `/listings/${listingId}`, { quantity: 9 });
    expect(less.status).toBe(409);
  });

  it('does not make the other node write for ever', async () => {
    const made = await ask(mallory, 'POST', '/contracts', {
      buyerId: 'amina',
      supplierId: `ben@${SHOP.peerId}`,
      ...deal(1),
    });
    const path = at(made);
    const key = keyOf(path);
    await seen(shop, path, ({ state }) => state === 'proposed');
    await ask(shop, 'POST', `${path}/accept`, {});
    const accepted = await seen(mallory, path, ({ state }) => state === 'accepted');
    let before = accepted.transitions.find(({ kind }) => kind === 'accept')?.hash ?? '';
    for (let i = 0; i < 100; i++) {
      const settle = signed(key, { kind: 'settle', role: 'market_buyer' }, [before], Date.now() + i);
      before = hashOf(settle);
      await write(key, settle);
    }
    await seen(shop, path, ({ transitions }) => transitions.some(({ hash }) => hash === before));
    const said = (): number =>
      shop.node.store.feeds(SHOP.peerId, key).reduce((sum, feed) => sum + feed.seq, 0);
    const book = shop.context.contracts as ContractBook;
    await waitFor(
      'the shop to have said all it has to say',
      async () => {
        const before = said();
        await settle();
        await book.idle();
        return said() === before;
      },
      8_000,
    );
    const last = said();
    console.log('entries', last);
    expect(last).toBeGreaterThan(0);
    expect(last).toBeLessThan(128);
  });
});
