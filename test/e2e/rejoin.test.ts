import { cpSync, rmSync } from 'node:fs';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { checkFeeds } from '../support/feed-check.ts';
import { ProcessFederation, type ProcessMember, sameDigest } from '../support/federation.ts';
import { agrinet } from '../support/cli.ts';
import { tempDir } from '../support/temp-dir.ts';
import { waitFor } from '../support/wait.ts';

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
const settled = (member: ProcessMember): Promise<Standing> =>
  waitFor(
    'the rejoin to be settled',
    async () => {
      const now = await standing(member);
      return !now.waiting && now;
    },
    20_000,
  );
const listing = {
  type: 'offer',
  status: 'active',
  title: 'Maize',
  quantity: 100,
  unit: 'kg',
  userId: 'mary',
};

/** What is sold, on every node. */
async function offer(supplier: ProcessMember): Promise<void> {
  await supplier.json('PUT', '/listings/maize', listing);
  await sameDigest(federation.members, 20_000);
}

/** A contract over 80 of the 100, up to the supplier's turn. */
async function proposed(buyer: ProcessMember, supplier: ProcessMember): Promise<string> {
  const { contractId } = await buyer.json<{ contractId: string }>('POST', '/contracts', {
    listingId: `${supplier.peerId}.maize`,
    supplierId: `mary@${supplier.peerId}`,
    buyerId: 'amina',
    quantity: 80,
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

it('does not promise again what only an absent buyer still knows to be promised', async () => {
  let supplier = await federation.add();
  const [third, absent] = [await federation.add(), await federation.add()];
  await federation.registerAll();
  await offer(supplier);
  const second = await proposed(third, supplier);

  // An image of the machine, then the promise; then the image again, and who has the promise is away.
  await supplier.stop('SIGKILL');
  cpSync(supplier.dir, copy.path, { recursive: true });
  supplier = await federation.start(supplier.dir);
  const first = await proposed(absent, supplier);
  await supplier.json('POST', `${first}/accept`, {});
  await waitFor(
    'the buyer to know',
    async () => (await absent.json<{ state: string }>('GET', first)).state === 'accepted',
    20_000,
  );
  await sameDigest([supplier, third, absent], 20_000);
  await absent.stop();
  await supplier.stop('SIGKILL');
  rmSync(supplier.dir, { recursive: true });
  cpSync(copy.path, supplier.dir, { recursive: true });
  supplier = await federation.start(supplier.dir);

  // The one that is there gives back the listing's last change: something is gone, so the others have to be asked too.
  const seen = await waitFor(
    'the loss to show',
    async () => {
      const now = await standing(supplier);
      return now.cause !== undefined && now.nodes.some(({ answered }) => answered) && now;
    },
    20_000,
  );
  expect(seen).toMatchObject({ waiting: true, cause: 'entries-returned' });
  expect(seen.nodes.filter(({ answered }) => !answered).map(({ nodeId }) => nodeId)).toEqual([absent.peerId]);
  expect(await refusal(await supplier.request('POST', `${second}/accept`, {}))).toEqual([503, 'rejoining']);
  const { degraded } = await supplier.json<{ degraded: string[] }>('GET', '/ready');
  expect(degraded).toEqual([expect.stringContaining('promises wait for 1 of 2 nodes')]);
  // Nothing else waits, and a restart forgets nothing of it.
  await supplier.json('POST', '/listings', { ...listing, title: 'Beans' });
  await supplier.json('POST', `${second}/pings`, { as: 'mary', status: 'loaded' });
  await supplier.stop('SIGKILL');
  supplier = await federation.start(supplier.dir);
  expect(await standing(supplier)).toMatchObject({ waiting: true, cause: 'entries-returned' });
  expect(await refusal(await supplier.request('POST', `${second}/accept`, {}))).toEqual([503, 'rejoining']);

  await federation.start(absent.dir);
  await settled(supplier);
  // At once: what came back counts before it shows in the listing.
  expect(await refusal(await supplier.request('POST', `${second}/accept`, {}))).toEqual([409, 'stock-short']);
  const path = `/listings/${supplier.peerId}.maize`;
  await waitFor(
    'what is promised to show',
    async () => (await supplier.json<{ available?: number }>('GET', path)).available === 20,
    20_000,
  );
  for (const member of federation.members) await checkFeeds(member, supplier.peerId);
}, 180_000);

it('goes on at the operator’s word, who sees who has not answered', async () => {
  let supplier = await federation.add();
  const [third, absent] = [await federation.add(), await federation.add()];
  await federation.registerAll();
  await offer(supplier);
  const contract = await proposed(third, supplier);
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
  await waitFor('the loss to show', async () => (await standing(supplier)).cause !== undefined, 20_000);

  const shown = await agrinet(supplier, ['rejoin']);
  expect(shown.stdout).toContain('(entries-returned): no new commitments until every node has answered.');
  expect(shown.stdout).toMatch(new RegExp(`${absent.peerId} +│ not yet`));
  const forced = await agrinet(supplier, ['rejoin', '--force']);
  expect(forced.stdout).toContain('No recovery fence: new commitments are allowed.');
  await supplier.json('POST', `${contract}/accept`, {});
  await supplier.stop();
  supplier = await federation.start(supplier.dir);
  expect(await standing(supplier)).not.toHaveProperty('cause');
}, 120_000);

it('answers a step that waits for a first answer when it stops', async () => {
  let supplier = await federation.add();
  const buyer = await federation.add();
  await federation.registerAll();
  await offer(supplier);
  const contract = await proposed(buyer, supplier);
  await buyer.stop();
  await supplier.stop();
  supplier = await federation.start(supplier.dir);
  const accepting = supplier.request('POST', `${contract}/accept`, {});
  expect(
    await Promise.race([accepting.then(() => 'answered'), supplier.json('GET', contract)]),
  ).toMatchObject({
    state: 'proposed',
  });
  await supplier.stop();
  expect(await refusal(await accepting)).toEqual([503, 'stopping']);
}, 120_000);

it('waits for a first answer after an ordinary start, and takes the promise then', async () => {
  let supplier = await federation.add();
  const buyer = await federation.add();
  await federation.registerAll();
  await offer(supplier);
  const contract = await proposed(buyer, supplier);
  await buyer.stop();
  await supplier.stop();
  supplier = await federation.start(supplier.dir);
  const accepting = supplier.request('POST', `${contract}/accept`, {});
  await supplier.json('POST', '/listings', { ...listing, title: 'Beans' });
  expect(
    await Promise.race([accepting.then(() => 'answered'), standing(supplier).then((s) => s.waiting)]),
  ).toBe(true);
  await federation.start(buyer.dir);
  expect((await accepting).status).toBe(200);
  expect((await standing(supplier)).nodes).toEqual([{ nodeId: buyer.peerId, answered: true }]);
}, 120_000);
