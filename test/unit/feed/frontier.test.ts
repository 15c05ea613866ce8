import { describe, expect, test } from 'vitest';
import type { FeedState } from '../../../protocols/feed/feed.ts';
import { frontierOf, isBehind, missingEpochs } from '../../../protocols/feed/frontier.ts';
import { identityFromSeed } from '../../../protocols/wire/identity.ts';

const author = identityFromSeed(new Uint8Array(32).fill(1)).peerId;
const hashOf = (text: string): string => Buffer.from(text.padEnd(32, '.')).toString('hex');
const epochOf = (n: number): string => n.toString(16).padStart(16, '0');

/** Epoch `n` held up to `seq`; `after` names others as `[epoch, seq]`, with their own hashes. */
function feed(n: number, seq: number, after: [number, number][] = [], branch = ''): FeedState {
  const hash = seq === 0 ? '' : hashOf(`${n}/${seq}${branch}`);
  const tails = after.map(([e, s]) => ({ epoch: epochOf(e), seq: s, hash: hashOf(`${e}/${s}`) }));
  return { no: n, author, channel: 'public', epoch: epochOf(n), seq, hash, after: tails, day: 0 };
}

function forked(base: FeedState, seq: number, proof = 'p', belowBranch = ''): FeedState {
  const held = seq > 1 && base.seq >= seq - 1;
  const below = held ? hashOf(`${base.no}/${seq - 1}${belowBranch}`) : '';
  return { ...base, fork: { seq, proof: hashOf(proof), below } };
}

const shown = (feeds: FeedState[]): string[] =>
  frontierOf(feeds).map((i) => `${Number.parseInt(i.epoch, 16)}@${i.seq}`);

describe('a frontier', () => {
  test('leaves out an epoch that a later one names at just the place held', () => {
    expect(shown([feed(1, 5), feed(2, 3, [[1, 5]])])).toEqual(['2@3']);
  });

  test('is one item after a hundred restarts', () => {
    const feeds = Array.from({ length: 100 }, (_, i) => feed(i + 1, 2, i === 0 ? [] : [[i, 2]]));
    expect(shown(feeds)).toEqual(['100@2']);
  });

  test('shows an epoch held further, or less far, than it is named', () => {
    expect(shown([feed(1, 6), feed(2, 3, [[1, 5]])])).toEqual(['1@6', '2@3']);
    expect(shown([feed(1, 4), feed(2, 3, [[1, 5]])])).toEqual(['1@4', '2@3']);
  });

  test('shows an epoch that is named with another hash, or with two', () => {
    expect(shown([feed(1, 5, [], 'x'), feed(2, 3, [[1, 5]])])).toEqual(['1@5', '2@3']);
    const other = feed(3, 1, [[1, 5]]);
    const lying = { ...other, after: other.after.map((tail) => ({ ...tail, hash: hashOf('lie') })) };
    expect(shown([feed(1, 5), feed(2, 3, [[1, 5]]), lying])).toContain('1@5');
  });

  test('goes by the furthest name', () => {
    expect(shown([feed(1, 7), feed(2, 1, [[1, 5]]), feed(3, 1, [[1, 7]])])).toEqual(['2@1', '3@1']);
  });

  test('always shows a forked epoch, below the fork, even when it is named or nothing of it is held', () => {
    const items = frontierOf([forked(feed(1, 5), 3), feed(2, 1, [[1, 5]])]);
    expect(items[0]).toEqual({ epoch: epochOf(1), seq: 2, hash: hashOf('1/2'), fork: hashOf('p') });
    expect(shown([forked(feed(1, 0), 4)])).toEqual(['1@0']);
    expect(shown([feed(1, 0)])).toEqual([]);
  });

  test('believes no `after` of a first header that is forked itself', () => {
    expect(shown([feed(1, 5), forked(feed(2, 3, [[1, 5]]), 1)])).toEqual(['1@5', '2@0']);
    expect(missingEpochs([forked(feed(2, 3, [[9, 5]]), 1)])).toEqual([]);
  });
});

describe('what is missing', () => {
  test('is what a held header names and is not held that far, unless it is forked', () => {
    expect(missingEpochs([feed(2, 1, [[1, 5]])])).toEqual([epochOf(1)]);
    expect(missingEpochs([feed(1, 4), feed(2, 1, [[1, 5]])])).toEqual([epochOf(1)]);
    expect(missingEpochs([feed(1, 5), feed(2, 1, [[1, 5]])])).toEqual([]);
    expect(missingEpochs([forked(feed(1, 2), 3), feed(2, 1, [[1, 5]])])).toEqual([]);
  });
});

describe('a node is behind', () => {
  const cases: [string, FeedState[], FeedState[], boolean][] = [
    ['an unknown epoch', [], [feed(1, 1)], true],
    ['a longer feed', [feed(1, 1)], [feed(1, 2)], true],
    ['a shorter feed', [feed(1, 2)], [feed(1, 1)], false],
    ['the same', [feed(1, 2)], [feed(1, 2)], false],
    ['another hash at the same place', [feed(1, 2)], [feed(1, 2, [], 'x')], true],
    ['a proof not known', [feed(1, 5)], [forked(feed(1, 5), 3)], true],
    [
      'the same fork, whatever lies above it',
      [forked(feed(1, 9), 3)],
      [forked(feed(1, 4, [], 'x'), 3)],
      false,
    ],
    ['entries above a fork known here', [forked(feed(1, 2), 3)], [feed(1, 9)], false],
    ['entries below a fork known here', [forked(feed(1, 1), 5)], [feed(1, 9)], true],
    ['another history below the same fork', [forked(feed(1, 9), 5, 'p', 'x')], [forked(feed(1, 9), 5)], true],
    [
      'an epoch covered by what it shows',
      [feed(1, 5), feed(2, 1, [[1, 5]])],
      [feed(1, 5), feed(2, 1, [[1, 5]])],
      false,
    ],
    [
      'nothing new while an epoch that is named is missing here',
      [feed(2, 1, [[1, 5]])],
      [feed(2, 1, [[1, 5]])],
      true,
    ],
  ];
  test.each(cases)('when a peer shows %s: %#', (_name, mine, theirs, behind) => {
    expect(isBehind(mine, frontierOf(theirs))).toBe(behind);
  });
});
