import { afterEach, beforeEach, expect, test } from 'vitest';
import { makeForkProof } from '../../protocols/feed/fork.ts';
import { CATCH_UP_LIMITS, CatchUpPlan } from '../../protocols/mycelium/catch-up.ts';
import { sha256 } from '../../protocols/wire/bytes.ts';
import { encodeCbor } from '../../protocols/wire/cbor.ts';
import { recordKey } from '../../protocols/wire/ids.ts';
import { LIMITS } from '../../protocols/wire/limits.ts';
import { Hand, openLedger, priceOps, randomFrom, someIdentity, type TestLedger } from '../support/forge.ts';
import { tempDir } from '../support/temp-dir.ts';

const random = randomFrom(Number(process.env['SEED'] ?? 1));
const attacker = someIdentity(random);
let folder: ReturnType<typeof tempDir>;
let held: TestLedger;

beforeEach(async () => {
  folder = tempDir('floods');
  held = await openLedger(folder.path, someIdentity(random));
  held.followStates.set(attacker.peerId, 'followed');
});
afterEach(async () => {
  await held.close();
  folder.remove();
});

const ops = priceOps({ author: attacker.peerId, epoch: '' }, 'x', 1);
const tally = (codes: readonly string[]): Record<string, number> =>
  Object.fromEntries([...new Set(codes)].map((code) => [code, codes.filter((c) => c === code).length]));

async function send(
  entries: readonly Uint8Array[],
  only: { readonly channel?: 'public' } = {},
): Promise<Record<string, number>> {
  const codes: string[] = [];
  for (let at = 0; at < entries.length; at += 500)
    for (const { kind, code } of await held.ledger.receive(entries.slice(at, at + 500), only))
      codes.push(code ?? kind);
  return tally(codes);
}

test('a registered author opens so many epochs a day and no more, and no feeds by proofs beyond', async () => {
  const flood = Array.from(
    { length: LIMITS.epochsPerDay + 20 },
    () => new Hand(attacker, random.hex(8)).next(ops).bytes,
  );
  expect(await send(flood)).toEqual({ accept: LIMITS.epochsPerDay, 'epochs-exceeded': 20 });
  const before = held.store.feedGroups().flatMap(({ feeds }) => feeds).length;
  const hand = new Hand(attacker, random.hex(8));
  const proof = makeForkProof(hand.sign(ops), hand.sign([...ops, ...ops]));
  expect(await held.ledger.receiveProof(proof.bytes)).toBe('ignored');
  expect(held.store.feedGroups().flatMap(({ feeds }) => feeds).length).toBe(before);
});

test('feeds in private channels of any name are bounded too, and never taken from gossip', async () => {
  const most = LIMITS.epochsPerDay * LIMITS.privateFeedsPerEpoch;
  const entry = (): Uint8Array => {
    const channel = recordKey('conversations', held.identity.peerId, random.hex(16));
    return new Hand(attacker, random.hex(8), channel).next(ops).bytes;
  };
  for (const one of [entry(), entry()])
    expect(await send([one], { channel: 'public' })).toEqual({ 'channel-private': 1 });
  expect(await send(Array.from({ length: most + 20 }, entry))).toEqual({
    accept: most,
    'epochs-exceeded': 20,
  });
});

test('a relay cannot take ops out of an entry', async () => {
  const hand = new Hand(attacker, random.hex(8));
  const entry = hand.next(ops);
  const erased = entry.body.map((item) => ['op' in item ? sha256(item.op) : item.erased]);
  expect(await send([encodeCbor([entry.envelopeBytes, erased])])).toEqual({ 'ops-erased': 1 });
  expect(await send([entry.bytes])).toEqual({ accept: 1 });
});

test('what one peer claims to hold leaves room for the others, and is given up when it does not come', () => {
  const plan = new CatchUpPlan();
  const group = (): { author: typeof attacker.peerId; channel: ReturnType<typeof recordKey> } => ({
    author: attacker.peerId,
    channel: recordKey('conversations', attacker.peerId, random.hex(16)),
  });
  for (let i = 0; i < CATCH_UP_LIMITS.wanted; i++) plan.want('liar', group());
  expect(plan.pending).toBe(CATCH_UP_LIMITS.wantedPerPeer);
  expect(plan.want('honest', group())).toBe(true);
  let pulls = 0;
  for (let now = 0; pulls < 1000; now += 10) {
    const starts = plan
      .next(now, () => true)
      .filter(({ peer, need }) => {
        if (peer === 'liar') return true;
        plan.ended(peer, need, true, false, now);
        return false;
      });
    pulls += starts.length;
    for (const { peer, need } of starts) plan.ended(peer, need, false, true, now);
    if (plan.pending === 0) break;
  }
  expect(plan.pending).toBe(0);
  expect(pulls).toBeLessThanOrEqual(CATCH_UP_LIMITS.patience + CATCH_UP_LIMITS.pullsPerPeer);
});
