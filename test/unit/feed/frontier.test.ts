import { expect, it } from 'vitest';
import type { FeedState } from '../../../protocols/feed/feed.ts';
import { frontierOf, isBehind } from '../../../protocols/feed/frontier.ts';
import type { EpochTail } from '../../../protocols/feed/header.ts';
import { nodeOf } from '../../support/vectors/signatures.ts';

const hashOf = (name: string): string => Buffer.from(name.padEnd(32)).toString('hex');
const epochOf = (name: string): string => Buffer.from(name.padEnd(8)).toString('hex');
const tail = (epoch: string, seq: number, hash = `${epoch}${seq}`): EpochTail => ({
  epoch: epochOf(epoch),
  seq,
  hash: hashOf(hash),
});

function feed(epoch: string, seq: number, after: EpochTail[] = [], hash = `${epoch}${seq}`): FeedState {
  const author = nodeOf(1).peerId;
  return { no: 1, author, channel: 'public', epoch: epochOf(epoch), seq, hash: hashOf(hash), after, day: 0 };
}
const shown = (...feeds: FeedState[]): string[] =>
  frontierOf(feeds).map((item) => `${Buffer.from(item.epoch, 'hex').toString().trim()}${item.seq}`);

it('an epoch named with exactly what is held leaves the frontier, any other stays', () => {
  expect(shown(feed('a', 3), feed('b', 1, [tail('a', 3)]))).toEqual(['b1']);
  expect(shown(feed('a', 4), feed('b', 1, [tail('a', 3)]))).toEqual(['a4', 'b1']);
  expect(shown(feed('a', 2), feed('b', 1, [tail('a', 3)]))).toEqual(['a2', 'b1']);
});

it('the furthest name counts, so that two nodes that hold different tails show different frontiers', () => {
  const b = feed('b', 1, [tail('a', 3)]);
  const c = feed('c', 1, [tail('a', 5), tail('b', 1)]);
  expect(shown(feed('a', 3), b, c)).toEqual(['a3', 'c1']);
  expect(shown(feed('a', 5), b, c)).toEqual(['c1']);
});

it('epochs cannot hide one another: a name covers only by its hash', () => {
  expect(shown(feed('a', 3, [tail('a', 3, 'made up')]))).toEqual(['a3']);
  const a = feed('a', 3, [tail('b', 2, 'made up')]);
  expect(shown(a, feed('b', 2, [tail('a', 3)]))).toEqual(['b2']);
  const different = [feed('a', 3), feed('b', 1, [tail('a', 3)]), feed('c', 1, [tail('a', 3, 'other')])];
  expect(shown(...different)).toEqual(['a3', 'b1', 'c1']);
});

it('what is named and not held is behind', () => {
  const feeds = [feed('b', 1, [tail('a', 3)])];
  expect(isBehind(feeds, frontierOf(feeds))).toBe(true);
  expect(isBehind([...feeds, feed('a', 3)], frontierOf(feeds))).toBe(false);
  expect(isBehind([feed('a', 3)], frontierOf([feed('a', 3, [], 'other')]))).toBe(true);
});
