import { expect, it } from 'vitest';
import { ownerDigest } from '../../../protocols/digest/state-digest.ts';
import type { RecordState } from '../../../protocols/open-dialog/record.ts';
import { recordKey } from '../../../protocols/wire/ids.ts';
import { Digests } from '../../../storage/digests.ts';
import { randomFrom, someIdentity } from '../../support/forge.ts';

const random = randomFrom(5);
const COLLECTIONS = ['listings', 'prices', 'ratings'];

/** What the sums look at of a record. */
function record(owner: ReturnType<typeof someIdentity>, collection: string, head: string): RecordState {
  const state: Partial<RecordState> = {
    key: recordKey(collection, owner.peerId, 'a'),
    channel: 'public',
    heads: [head],
    exists: true,
    tombstone: false,
  };
  return state as RecordState;
}

function digestsOf(owners: readonly ReturnType<typeof someIdentity>[]): Digests {
  const digests = new Digests();
  const moves = digests.begin();
  for (const owner of owners)
    for (const collection of COLLECTIONS) moves.change(undefined, record(owner, collection, random.hex(32)));
  moves.commit();
  return digests;
}

const peopleOf = (count: number) => Array.from({ length: count }, () => someIdentity(random));

it('the digest of an owner is that over what it has now, whatever was asked before', () => {
  const [one, other] = [someIdentity(random), someIdentity(random)];
  const digests = digestsOf([one, other]);
  const whole = (owner: string): string => ownerDigest(digests.of('public').get(owner) ?? new Map());
  const before = digests.ownerDigest(one.peerId);
  const beside = digests.ownerDigest(other.peerId);
  expect(before).toBe(whole(one.peerId));
  const first = record(one, 'listings', random.hex(32));
  const moves = digests.begin();
  moves.change(undefined, first);
  expect(digests.ownerDigest(one.peerId), 'before the commit').toBe(before);
  moves.commit();
  expect(digests.ownerDigest(one.peerId)).not.toBe(before);
  expect(digests.ownerDigest(one.peerId)).toBe(whole(one.peerId));
  expect(digests.ownerDigest(other.peerId)).toBe(beside);
  const back = digests.begin();
  back.change(first, { ...first, exists: false });
  back.commit();
  expect(digests.ownerDigest(one.peerId)).toBe(before);
});

it('all owners cost as many times one owner as there are: 1,000 authors blocked a node for 27 s', () => {
  const cost = (count: number): number => {
    const people = peopleOf(count);
    let least = Infinity;
    for (let i = 0; i < 3; i++) {
      const digests = digestsOf(people);
      const before = process.threadCpuUsage();
      for (const { peerId } of people) digests.ownerDigest(peerId);
      const { user, system } = process.threadCpuUsage(before);
      least = Math.min(least, (user + system) / 1000);
    }
    return least;
  };
  cost(50);
  const [few, many] = [cost(50), cost(400)];
  console.log(`digests of 50 owners: ${few.toFixed(1)} ms of CPU, of 400: ${many.toFixed(1)} ms`);
  // Eight times as many; sixty-four times where each owner costs all owners.
  expect(many).toBeLessThan(Math.max(few, 1) * 24);
});
