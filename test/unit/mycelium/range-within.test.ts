import { readFileSync } from 'node:fs';
import { describe, expect, it, test } from 'vitest';
import type { FeedState } from '../../../protocols/feed/feed.ts';
import {
  decodeRangeRequest,
  encodeRangeRequest,
  nextRange,
  RANGE_LIMITS,
  rangeItems,
  rangeRequest,
  type RangeRequest,
} from '../../../protocols/mycelium/range.ts';
import { fromHex, hex } from '../../../protocols/wire/bytes.ts';
import { randomFrom, someIdentity } from '../../support/forge.ts';

const { rangeRequests } = JSON.parse(
  readFileSync(new URL('../../../protocols/vectors.json', import.meta.url), 'utf8'),
) as {
  rangeRequests: {
    taken: readonly { name: string; request: RangeRequest; bytes: string }[];
    refused: readonly { name: string; bytes: string; code: string }[];
  };
};
const random = randomFrom(11);
const author = someIdentity(random).peerId;
const LIMIT = RANGE_LIMITS.epochs;
const [FIRST, LAST] = ['00'.repeat(8), 'ff'.repeat(8)];

/** Feeds as far as a request looks at them. */
function feedsOf(epochs: readonly string[]): FeedState[] {
  return epochs.map((epoch, no) => ({ no, epoch, seq: 1, hash: '11'.repeat(32) }) as FeedState);
}

/** All requests, one after the other. */
function pagesOf(feeds: readonly FeedState[]): RangeRequest[] {
  const pages: RangeRequest[] = [];
  let from: string | undefined;
  do {
    const request = rangeRequest(author, 'public', feeds, from);
    pages.push(request);
    from = nextRange(request);
  } while (from !== undefined);
  return pages;
}

describe('the requests of a feed of many epochs', () => {
  it.each([0, 1, LIMIT - 1, LIMIT])('%i: one, about all', (count) => {
    const epochs = Array.from({ length: count }, () => random.hex(8));
    const pages = pagesOf(feedsOf(epochs));
    expect(pages.map(({ within }) => within)).toEqual([undefined]);
    expect(pages[0]?.have.map(({ epoch }) => epoch).sort()).toEqual(epochs.sort());
  });

  it.each([LIMIT + 1, 2 * LIMIT, 2 * LIMIT + 1])('%i: several, which leave no epoch out', (count) => {
    const epochs = [FIRST, LAST, ...Array.from({ length: count - 2 }, () => random.hex(8))];
    const pages = pagesOf(feedsOf(epochs));
    expect(pages).toHaveLength(Math.ceil(count / LIMIT));
    expect(pages.flatMap(({ have }) => have.map(({ epoch }) => epoch))).toEqual(epochs.sort());
    expect(pages[0]?.within?.[0]).toBe(FIRST);
    expect(pages.at(-1)?.within?.[1]).toBe(LAST);
    for (const [i, { within }] of pages.entries()) {
      const next = pages[i + 1]?.within?.[0];
      if (next !== undefined) expect(BigInt(`0x${within?.[1] ?? ''}`) + 1n).toBe(BigInt(`0x${next}`));
    }
    for (const page of pages) expect(decodeRangeRequest(encodeRangeRequest(page))).toEqual(page);
  });

  it('count what has come meanwhile', () => {
    const epochs = Array.from({ length: 2 * LIMIT + 1 }, (_, i) => `0${i.toString(16).padStart(15, '0')}`);
    const next = nextRange(rangeRequest(author, 'public', feedsOf(epochs.slice(0, LIMIT + 1))));
    expect(next).toBe(epochs[LIMIT]);
    const page = rangeRequest(author, 'public', feedsOf(epochs), next);
    expect(page.have.map(({ epoch }) => epoch)).toEqual(epochs.slice(LIMIT, 2 * LIMIT));
    expect(nextRange(page)).toBe(epochs[2 * LIMIT]);
  });
});

describe('a request that names its epochs', () => {
  const E = (n: number): string => n.toString(16).padStart(16, '0');
  test.each(rangeRequests.taken)('taken: $name', ({ request, bytes }) => {
    expect(hex(encodeRangeRequest(request))).toBe(bytes);
    expect(decodeRangeRequest(fromHex(bytes))).toEqual(request);
  });
  test.each(rangeRequests.refused)('refused: $name', ({ bytes, code }) => {
    expect(code).toBe('range-malformed');
    expect(() => decodeRangeRequest(fromHex(bytes))).toThrow(expect.objectContaining({ code }));
  });

  it('is answered with nothing outside of them, its ends included', async () => {
    const asked: number[] = [];
    const feeds = feedsOf([E(4), E(1), E(2), E(5), E(3)]);
    const source = {
      feeds: () => feeds,
      erasures: () => Promise.resolve([]),
      async *entriesFrom(no: number) {
        asked.push(no);
        yield fromHex(feeds[no]?.epoch ?? '');
      },
    };
    const items: string[] = [];
    const request = { author, channel: 'public', have: [], within: [E(2), E(4)] } as const;
    for await (const { bytes } of rangeItems(source as never, request)) items.push(E(bytes[7] ?? 0));
    // In the order in which the holder got them.
    expect(items).toEqual([E(4), E(2), E(3)]);
    expect(asked).toEqual([0, 2, 4]);
  });
});
