import { expect, it } from 'vitest';
import { frontierOf, frontierRelation } from '../../../protocols/feed/frontier.ts';
import type { FeedState } from '../../../protocols/feed/feed.ts';
import { identityFromSeed } from '../../../protocols/wire/identity.ts';

const { peerId: author } = identityFromSeed(new Uint8Array(32).fill(1));
const feed = (epoch: string, seq: number, after: FeedState['after'] = []): FeedState => ({
  no: 1,
  author,
  channel: 'public',
  epoch: epoch.repeat(16),
  seq,
  hash: `${epoch}${seq}`,
  after,
  day: 0,
});
const covered = { epoch: 'a'.repeat(16), seq: 3, hash: 'a3' };

it.each([
  ['equal', [feed('a', 3)], [feed('a', 3)]],
  ['equal', [], []],
  ['here', [feed('a', 5)], [feed('a', 3)]],
  ['here', [feed('a', 5)], []],
  ['there', [feed('a', 3)], [feed('a', 5)]],
  ['there', [], [feed('a', 5)]],
  // A new epoch that covers the one held here.
  ['there', [feed('a', 3)], [feed('a', 3), feed('b', 1, [covered])]],
  ['here', [feed('a', 3), feed('b', 1, [covered])], [feed('a', 3)]],
  ['both', [feed('a', 5), feed('b', 2)], [feed('a', 7), feed('b', 1)]],
  // The new epoch alone shows the same, and stands for one that is not held.
  ['there', [feed('b', 1, [covered])], [feed('b', 1, [covered])]],
  // The same place with two hashes: each has one of two histories.
  ['both', [{ ...feed('a', 3), hash: 'x' }], [feed('a', 3)]],
] as const)('%s', (relation, mine, theirs) => {
  expect(frontierRelation([...mine], frontierOf([...theirs]))).toBe(relation);
});
