import { afterAll, beforeAll, expect, it } from 'vitest';
import { missingTerms } from '../../protocols/market/contract/terms.ts';
import type { DealNote } from '../../protocols/market/deal-note/note.ts';
import { verifyNote } from '../../protocols/market/deal-note/verify.ts';
import { befriend, startNode, type TestNode } from '../support/in-process-node.ts';
import { seededRandom } from '../support/random.ts';
import { tempDir } from '../support/temp-dir.ts';
import { deal } from '../support/terms.ts';
import { waitFor } from '../support/wait.ts';

/** Contracts over two nodes, with terms of chance: CONTRACTS=10000 for the long run. */
const SEED = Number(process.env['AGRINET_SEED'] ?? 21);
const CONTRACTS = Number(process.env['CONTRACTS'] ?? 500);
const AT_ONCE = 10;
const VALUES: Readonly<Record<string, readonly unknown[]>> = {
  title: ['Maize', '', ' ', null],
  commodity: ['Maize', '', null],
  quantity: [1, 0, '2'],
  unit: ['kg', 't', ' ', '', null],
  price: [50, 0, 49.5, '50', null],
  currency: ['KES', 'UGX', '', null],
};

const dirs = [tempDir('fuzz-buyer'), tempDir('fuzz-seller')];
let buyer: TestNode;
let seller: TestNode;

beforeAll(async () => {
  buyer = await startNode(dirs[0]?.path ?? '', { RATE_LIMIT: 'off' });
  seller = await startNode(dirs[1]?.path ?? '', { RATE_LIMIT: 'off' });
  await befriend(buyer, seller);
}, 60_000);
afterAll(async () => {
  for (const node of [buyer, seller]) await node.stop();
  for (const dir of dirs) dir.remove();
});

async function ask<T>(
  node: TestNode,
  method: string,
  path: string,
  body?: unknown,
): Promise<{ ok: boolean; body: T }> {
  const answer = await node.request(method, path, body);
  return { ok: answer.ok, body: (await answer.json()) as T };
}

it(
  `of ${CONTRACTS} contracts with terms of chance none is accepted without a term, and each can be read and verified without its listing (seed ${SEED})`,
  async () => {
    const random = seededRandom(SEED);
    const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T;
    const listings = [
      { ...deal(1e6), commodity: 'Maize' },
      { title: 'Maize', price: 50 },
      { title: 'Maize', unit: 'kg', currency: 'KES', quantity: 1e6 },
    ];
    const ids: string[] = [];
    for (const listing of listings) {
      const made = await ask<{ listingId: string }>(seller, 'POST', '/listings', {
        type: 'offer',
        userId: 'mary',
        ...listing,
      });
      ids.push(made.body.listingId);
    }
    for (const id of ids)
      await waitFor('the listing', async () => (await buyer.request('GET', `/listings/${id}`)).ok);
    const bodies = Array.from({ length: CONTRACTS }, () => {
      const fields = Object.entries(VALUES)
        .filter(() => random() < 0.35)
        .map(([name, values]) => [name, pick(values)] as const);
      const about =
        random() < 0.8
          ? { listingId: pick(ids), quantity: 2 }
          : { supplierId: `mary@${seller.peerId}`, ...deal(2) };
      return {
        buyerId: 'amina',
        ...about,
        ...Object.fromEntries(fields),
        acknowledgeListing: random() < 0.5,
      };
    });
    const accepted: string[] = [];
    const seen = { drafts: 0, refused: 0 };
    const one = async (body: object): Promise<void> => {
      const { ok, body: made } = await ask<{ contractId: string; state: string }>(
        buyer,
        'POST',
        '/contracts',
        body,
      );
      if (!ok) return void seen.refused++;
      const path = `/contracts/${made.contractId}`;
      await waitFor(
        'the contract',
        async () => (await ask<{ state?: string }>(seller, 'GET', path)).body.state === made.state,
        30_000,
      );
      const answer = await ask<{ state?: string }>(seller, 'POST', `${path}/accept`, {
        acceptedBy: 'mary',
        acknowledgeListing: true,
      });
      if (made.state === 'draft') {
        seen.drafts++;
        expect(answer.ok, JSON.stringify(body)).toBe(false);
      } else {
        expect(answer.body, JSON.stringify(body)).toMatchObject({ state: 'accepted' });
        accepted.push(made.contractId);
      }
    };
    while (bodies.length > 0) await Promise.all(bodies.splice(0, AT_ONCE).map(one));
    for (const id of ids)
      expect((await seller.request('DELETE', `/listings/${id}?erase=true`)).status).toBe(200);
    for (const id of ids)
      await waitFor(
        'the erasure',
        async () => (await buyer.request('GET', `/listings/${id}`)).status === 404,
      );
    for (const id of accepted) {
      for (const node of [buyer, seller]) {
        await waitFor(
          'the agreement',
          async () =>
            (await ask<{ state?: string }>(node, 'GET', `/contracts/${id}`)).body.state === 'accepted',
          30_000,
        );
        const text = await (await node.request('GET', `/contracts/${id}/note`)).text();
        const { findings, note } = verifyNote(text);
        expect(findings, id).toEqual([]);
        expect(missingTerms((note as DealNote).terms), id).toEqual([]);
      }
    }
    expect(accepted.length).toBeGreaterThan(CONTRACTS / 10);
    expect(seen.drafts).toBeGreaterThan(CONTRACTS / 10);
    console.info(JSON.stringify({ accepted: accepted.length, ...seen }));
  },
  CONTRACTS * 1000,
);
