import { afterEach, expect, test } from 'vitest';
import { makeForkProof } from '../../../protocols/feed/fork.ts';
import { frontierOf } from '../../../protocols/feed/frontier.ts';
import { LIMITS } from '../../../protocols/wire/limits.ts';
import {
  Hand,
  openLedger,
  priceOps,
  randomFrom,
  someIdentity,
  type TestLedger,
} from '../../support/forge.ts';
import { tempDir } from '../../support/temp-dir.ts';

const DAY_MS = 86_400_000;
const seed = Number(process.env['SEED'] ?? 1);
const random = randomFrom(seed);
const open: { readonly node: TestLedger; readonly remove: () => void }[] = [];
let now = 0;

afterEach(async () => {
  for (const { node, remove } of open.splice(0)) {
    await node.close();
    remove();
  }
});

async function nodeThatFollows(hand: Hand): Promise<TestLedger> {
  const folder = tempDir('fork-limit');
  const node = await openLedger(folder.path, someIdentity(random), () => now);
  open.push({ node, remove: () => folder.remove() });
  node.followStates.set(hand.identity.peerId, 'followed');
  return node;
}

/** Entries of one feed, and for each a proof that it has another at its place; the proofs from the last place to the first. */
function history(hand: Hand, length: number): { entries: Uint8Array[]; proofs: Uint8Array[] } {
  const entries: Uint8Array[] = [];
  const proofs: Uint8Array[] = [];
  for (let i = 0; i < length; i++) {
    const other = hand.sign(priceOps(hand.pen, 'other', i));
    const entry = hand.next(priceOps(hand.pen, 'mine', i));
    entries.push(entry.bytes);
    proofs.unshift(makeForkProof(entry, other).bytes);
  }
  return { entries, proofs };
}

test('up to the limit each lower fork is taken, beyond it put off to the next day; whatever order, all end at the lowest', async () => {
  now = 20_000 * DAY_MS;
  const hand = new Hand(someIdentity(random), random.hex(8));
  const most = LIMITS.forksPerEpochDay;
  const { entries, proofs } = history(hand, most + 2);
  const [falling, rising] = [await nodeThatFollows(hand), await nodeThatFollows(hand)];
  for (const node of [falling, rising]) await node.ledger.receive(entries);
  const outcomes: string[] = [];
  for (const proof of proofs) outcomes.push(await falling.ledger.receiveProof(proof));
  expect(outcomes.slice(0, most)).toEqual(Array.from({ length: most }, () => 'new'));
  expect(outcomes.slice(most)).toEqual(['exceeded', 'exceeded']);
  const other: string[] = [];
  for (const proof of proofs.toReversed()) other.push(await rising.ledger.receiveProof(proof));
  expect(other).toEqual(['new', ...Array.from({ length: most + 1 }, () => 'known')]);
  // The same pair of a place again, and another pair of it, change nothing.
  const frontier = ({ store }: TestLedger) => frontierOf(store.feeds(hand.identity.peerId, 'public'));
  expect(frontier(falling)).not.toEqual(frontier(rising));
  now += DAY_MS;
  const lowest = proofs.at(-1) ?? new Uint8Array();
  expect(await falling.ledger.receiveProof(lowest)).toBe('new');
  expect(await falling.ledger.receiveProof(lowest)).toBe('known');
  expect(frontier(falling)).toEqual(frontier(rising));
  expect(falling.digest()).toBe(rising.digest());
});

test('lower pairs of a forked place change nothing and write nothing, however many there are', async () => {
  now = 20_000 * DAY_MS;
  const hand = new Hand(someIdentity(random), random.hex(8));
  const node = await nodeThatFollows(hand);
  const pairs = Array.from({ length: 40 }, (_, i) => hand.sign(priceOps(hand.pen, 'x', i)));
  const byHash = pairs.toSorted((a, b) => (a.hash < b.hash ? 1 : -1));
  const proofs = byHash.slice(1).map((entry, i) => makeForkProof(entry, byHash[i] ?? entry).bytes);
  const outcomes: string[] = [];
  for (const proof of proofs) outcomes.push(await node.ledger.receiveProof(proof));
  expect(outcomes[0]).toBe('new');
  expect(new Set(outcomes.slice(1))).toEqual(new Set(['known']));
  expect(node.alarms.filter(({ kind }) => kind === 'feed-forked')).toHaveLength(1);
});

test('a proof that does not hold throws, also where its place could be forked', async () => {
  now = 20_000 * DAY_MS;
  const hand = new Hand(someIdentity(random), random.hex(8));
  const node = await nodeThatFollows(hand);
  const { proofs } = history(hand, 1);
  const forged = Uint8Array.from(proofs[0] ?? []);
  forged[forged.length - 1] = (forged[forged.length - 1] ?? 0) ^ 1;
  await expect(node.ledger.receiveProof(forged)).rejects.toThrow(/signature/);
  expect(node.alarms).toEqual([]);
});
