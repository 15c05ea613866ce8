import { cpSync, rmSync } from 'node:fs';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { ProcessFederation, type ProcessMember, sameDigest } from '../support/federation.ts';
import { agrinetHere } from '../support/cli.ts';
import { tempDir } from '../support/temp-dir.ts';
import { waitFor } from '../support/wait.ts';
import { deal } from '../support/terms.ts';

interface Standing {
  readonly waiting: boolean;
  readonly cause?: string;
  readonly nodes: readonly { readonly nodeId: string; readonly answered: boolean }[];
}

let federation: ProcessFederation;
let copy: ReturnType<typeof tempDir>;
beforeEach(() => {
  federation = new ProcessFederation();
  copy = tempDir('copy');
});
afterEach(async () => {
  await federation.close();
  copy.remove();
});

const standing = (member: ProcessMember): Promise<Standing> => member.json<Standing>('GET', '/rejoin');
const listing = {
  type: 'offer',
  status: 'active',
  ...deal(100),
  userId: 'mary',
};

/** What is sold, on every node. */
async function offer(supplier: ProcessMember): Promise<void> {
  await supplier.json('PUT', '/listings/maize', listing);
  await sameDigest(federation.members, 20_000);
}

/** A contract over some of the 100, up to the supplier's turn. */
async function proposed(buyer: ProcessMember, supplier: ProcessMember, quantity: number): Promise<string> {
  const { contractId } = await buyer.json<{ contractId: string }>('POST', '/contracts', {
    listingId: `${supplier.peerId}.maize`,
    supplierId: `mary@${supplier.peerId}`,
    buyerId: 'amina',
    quantity,
  });
  const path = `/contracts/${contractId}`;
  await waitFor(
    'the proposal',
    async () => {
      const response = await supplier.request('GET', path);
      return response.ok && ((await response.json()) as { state?: string }).state === 'proposed';
    },
    20_000,
  );
  return path;
}
const refusal = async (response: Response): Promise<[number, string]> => {
  const { code } = (await response.json()) as { code: string };
  return [response.status, code];
};

// What the fence holds back, from whom it waits for an answer and what ends it: test/sim/rejoin.test.ts.
it('goes on at the operator’s word, who sees who has not answered', async () => {
  let supplier = await federation.add();
  const [third, absent] = [await federation.add(), await federation.add()];
  await federation.registerAll();
  await offer(supplier);
  const [contract, tooMuch, rest] = [
    await proposed(third, supplier, 80),
    await proposed(third, supplier, 80),
    await proposed(third, supplier, 20),
  ];
  await absent.stop();
  await supplier.stop();
  cpSync(supplier.dir, copy.path, { recursive: true });
  supplier = await federation.start(supplier.dir);
  await supplier.json('PATCH', `/listings/${supplier.peerId}.maize`, { price: 55 });
  await sameDigest([supplier, third], 20_000);
  await supplier.stop('SIGKILL');
  rmSync(supplier.dir, { recursive: true });
  cpSync(copy.path, supplier.dir, { recursive: true });
  supplier = await federation.start(supplier.dir);
  const seen = await waitFor(
    'the loss to show',
    async () => {
      const now = await standing(supplier);
      return now.cause !== undefined && now.nodes.some(({ answered }) => answered) && now;
    },
    20_000,
  );
  expect(seen).toMatchObject({ waiting: true, cause: 'entries-returned' });
  const both = (now: Standing) => now.nodes.toSorted((a, b) => Number(b.answered) - Number(a.answered));
  expect(both(seen)).toEqual([
    { nodeId: third.peerId, answered: true },
    { nodeId: absent.peerId, answered: false },
  ]);
  const accept = (path: string): Promise<Response> => supplier.request('POST', `${path}/accept`, {});
  expect(await refusal(await accept(contract))).toEqual([503, 'rejoining']);
  const { degraded } = await supplier.json<{ degraded: string[] }>('GET', '/ready');
  expect(degraded).toEqual([
    expect.stringContaining('recovery fence: no new commitments, 1 of 2 nodes have yet to answer'),
  ]);
  const shown = await agrinetHere(supplier, ['rejoin']);
  expect(shown.stdout).toContain('(entries-returned): no new commitments until every node has answered.');
  expect(shown.stdout).toMatch(new RegExp(`${absent.peerId} +│ not yet`));
  const forced = await agrinetHere(supplier, ['rejoin', '--force']);
  expect(forced.stdout).toContain('No recovery fence: new commitments are allowed.');
  const accepted = await accept(contract);
  expect([accepted.status, await accepted.json()]).toEqual([200, expect.anything()]);
  expect(await refusal(await accept(tooMuch))).toEqual([409, 'stock-short']);

  // An ordinary start: the first answer is waited for, unless the node is stopped first.
  await third.stop();
  await supplier.stop();
  supplier = await federation.start(supplier.dir);
  expect(await standing(supplier)).not.toHaveProperty('cause');
  const accepting = accept(rest);
  expect(await Promise.race([accepting.then(() => 'answered'), supplier.json('GET', rest)])).toMatchObject({
    state: 'proposed',
  });
  await supplier.stop();
  expect(await refusal(await accepting)).toEqual([503, 'stopping']);
}, 120_000);
