import { expect, it } from 'vitest';
import { rejoinLine } from '../../daemon/rejoin.ts';
import type { RecordKey } from '../../protocols/wire/ids.ts';
import type { Member } from './world/member.ts';
import { inWorld, type Scenario } from './world/scenario.ts';
import { inState, offer, OPERATOR, proposed, shown, stateOf, step } from './world/trade.ts';

const ACCEPT = { kind: 'accept' } as const;
const isRefused = (code: string): object => expect.objectContaining({ code });

it('does not promise again what only an absent buyer still knows to be promised', () =>
  inWorld({ seed: 1, nodes: 3 }, async (scenario, supplier, third, absent) => {
    const listing = await offer(scenario, supplier, 'maize', 100);
    const second = await proposed(scenario, third, supplier);

    // An image of the machine, then the promise; then the image again, and who has the promise is away.
    const image = supplier.disk.copy();
    const first = await proposed(scenario, absent, supplier);
    expect(await scenario.done(step(scenario, supplier, first, ACCEPT))).toBe('accepted');
    await inState(scenario, absent, first, 'accepted');
    await scenario.settled();
    await scenario.stop(absent);
    scenario.putBack(supplier, image);
    await scenario.start(supplier);

    // The one that is there gives back the listing's last change: something is gone, so the others have to be asked too.
    const standing = () => scenario.node(supplier).rejoin.status();
    const seen = await scenario.until('the loss to show', () => {
      const now = standing();
      return now.recovery !== undefined && now.peers.some(({ answered }) => answered) && now;
    });
    expect(seen).toMatchObject({ waiting: true, recovery: { cause: 'entries-returned' } });
    expect(seen.peers.filter(({ answered }) => !answered)).toEqual([
      { peer: absent.peerId, answered: false },
    ]);
    await expect(scenario.done(step(scenario, supplier, second, ACCEPT))).rejects.toEqual(
      isRefused('rejoining'),
    );
    expect(rejoinLine(seen)).toEqual([
      expect.stringContaining('recovery fence: no new commitments, 1 of 2 nodes have yet to answer'),
    ]);
    // Nothing else waits, and a restart forgets nothing of it.
    const { book } = scenario.node(supplier);
    await scenario.done(book.catalogue.createListing({ type: 'offer', title: 'Beans' }));
    await scenario.done(book.ping(second, { as: 'mary', status: 'loaded' }, OPERATOR));
    scenario.world.crash(supplier, 'kill');
    await scenario.start(supplier);
    expect(standing()).toMatchObject({ waiting: true, recovery: { cause: 'entries-returned' } });
    await expect(scenario.done(step(scenario, supplier, second, ACCEPT))).rejects.toEqual(
      isRefused('rejoining'),
    );

    await scenario.start(absent);
    await scenario.until('the rejoin to be settled', () => !standing().waiting);
    // At once: what came back counts before it shows in the listing.
    await expect(scenario.done(step(scenario, supplier, second, ACCEPT))).rejects.toEqual(
      isRefused('stock-short'),
    );
    await scenario.until(
      'what is promised to show',
      async () => (await shown(scenario, supplier, listing)).view['available'] === 20,
    );
    await scenario.settled();
    for (const member of scenario.members)
      expect(await stateOf(scenario, member, second)).not.toBe('accepted');
  }));

/** A contract up to its supplier's turn; then the supplier has started again in order, and the buyer is away. */
async function restarted(scenario: Scenario, supplier: Member, buyer: Member): Promise<RecordKey> {
  await offer(scenario, supplier, 'maize', 100);
  const contract = await proposed(scenario, buyer, supplier);
  await scenario.stop(buyer);
  await scenario.stop(supplier);
  await scenario.start(supplier);
  return contract;
}

it('answers a step that waits for a first answer when it stops', () =>
  inWorld({ seed: 2, nodes: 2 }, async (scenario, supplier, buyer) => {
    const contract = await restarted(scenario, supplier, buyer);
    let over = false;
    // It is answered while the node stops, when nobody waits for it yet.
    const answer = scenario
      .done(step(scenario, supplier, contract, ACCEPT))
      .catch((error: unknown) => error)
      .finally(() => (over = true));
    await scenario.pass(5_000);
    expect([over, await stateOf(scenario, supplier, contract)]).toEqual([false, 'proposed']);
    await scenario.stop(supplier);
    expect(await answer).toEqual(isRefused('stopping'));
  }));

it('waits for a first answer after an ordinary start, and takes the promise then', () =>
  inWorld({ seed: 3, nodes: 2 }, async (scenario, supplier, buyer) => {
    const contract = await restarted(scenario, supplier, buyer);
    const { book, rejoin } = scenario.node(supplier);
    let over = false;
    const accepting = step(scenario, supplier, contract, ACCEPT).finally(() => (over = true));
    await scenario.done(book.catalogue.createListing({ type: 'offer', title: 'Beans' }));
    expect([over, rejoin.status().waiting]).toEqual([false, true]);
    await scenario.start(buyer);
    expect(await scenario.done(accepting)).toBe('accepted');
    expect(rejoin.status()).toMatchObject({
      waiting: false,
      peers: [{ peer: buyer.peerId, answered: true }],
    });
    await scenario.settled();
  }));

it('takes the promise without an answer half a minute after an ordinary start', () =>
  inWorld({ seed: 4, nodes: 2 }, async (scenario, supplier, buyer) => {
    const contract = await restarted(scenario, supplier, buyer);
    const begun = scenario.world.time.now;
    expect(await scenario.done(step(scenario, supplier, contract, ACCEPT))).toBe('accepted');
    const waited = scenario.world.time.now - begun;
    expect(waited).toBeGreaterThan(25_000);
    expect(waited).toBeLessThan(31_000);
    await scenario.start(buyer);
    await scenario.settled();
  }));
