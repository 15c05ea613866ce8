import { expect, it } from 'vitest';
import { router } from '../../../api/route.ts';
import { feedRoutes } from '../../../api/routes/feeds.ts';
import { systemEnv } from '../../../daemon/system-env.ts';
import { isSendersFault } from '../../../protocols/error-codes.ts';
import { errorCode } from '../../../protocols/errors.ts';
import { encodePage, type FrontierGroup } from '../../../protocols/mycelium/frontier-page.ts';
import {
  FRONTIER_SEQUENCE,
  FRONTIER_SEQUENCE_LIMITS,
  readFrontierSequence,
  sequenceItem,
} from '../../../protocols/mycelium/frontier-sequence.ts';
import { concat, hex } from '../../../protocols/wire/bytes.ts';
import { recordKey } from '../../../protocols/wire/ids.ts';
import { nodeOf } from '../../support/vectors/signatures.ts';

const author = nodeOf(1).peerId;
const digest = new Uint8Array(32).fill(9);

/** What a reader makes of these bytes, cut anyhow. */
async function read(
  bytes: Uint8Array,
  size = bytes.length,
  seen = new Set<string>(),
): Promise<{ pages: number; end: string }> {
  async function* pieces(): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
  }
  let pages = 0;
  try {
    const source = readFrontierSequence(pieces(), systemEnv);
    for (;;) {
      const { done, value } = await source.next();
      if (done === true) return { pages, end: value };
      pages++;
      for (const { channel } of value.groups) seen.add(channel);
    }
  } catch (error) {
    return { pages, end: errorCode(error) };
  }
}

/** An honest page of exactly a digest's length: a version that knows one collection, and has nothing to show. */
function shortPage(): Uint8Array {
  for (let letters = 1; letters < 32; letters++) {
    const page = encodePage([], new Map([['c'.repeat(letters), 1]]));
    if (page.length === 32) return page;
  }
  throw new Error('no page has 32 bytes');
}

it('a page of 32 bytes is a page, and only the last item the digest', async () => {
  const items = [shortPage(), encodePage([]), shortPage(), digest].map(sequenceItem);
  for (const size of [1, 7, 1000])
    expect(await read(concat(items), size)).toEqual({ pages: 3, end: hex(digest) });
  expect(await read(sequenceItem(digest))).toEqual({ pages: 0, end: hex(digest) });
});

it('a digest with anything behind it is refused, and a sequence that ends too early is nobody’s fault', async () => {
  const page = sequenceItem(encodePage([]));
  const last = sequenceItem(digest);
  for (const tail of [page, last, Uint8Array.of(0xff)])
    for (const size of [1, 1000])
      expect((await read(concat([page, last, tail]), size)).end, hex(tail)).toBe('frontier-malformed');
  for (const bytes of [
    page,
    concat([page, last.subarray(0, 20)]),
    concat([page, last, last.subarray(0, 5)]),
    new Uint8Array(0),
  ])
    for (const size of [1, 1000]) expect((await read(bytes, size)).end, hex(bytes)).toBe('stream-truncated');
  expect(isSendersFault('stream-truncated')).toBe(false);
});

it('a frontier of more pages than a reader takes is shown in parts, and whole in the end', async () => {
  const items = Array.from({ length: 350 }, (_, seq) => ({
    epoch: '00'.repeat(8),
    seq: seq + 1,
    hash: '11'.repeat(32),
  }));
  // Two of them are more than a page.
  const groups = Array.from(
    { length: FRONTIER_SEQUENCE_LIMITS.sequencePages + 20 },
    (_, i): FrontierGroup => {
      const channel = recordKey('conversations', author, String(i));
      return { author, channel, items, digest: '' };
    },
  );
  const places = [0.99, 0.5];
  const app = router();
  app.use(async (c, next) => {
    c.set('principal', { id: 'reader', scopes: new Set(['read']) });
    await next();
  });
  const feeds = {
    list: () => groups,
    totalDigest: () => hex(digest),
    mayHold: () => false,
    range: () => {
      throw new Error('not asked for');
    },
  };
  const env = { ...systemEnv, random: () => places.shift() ?? 1 };
  app.route('/federation', feedRoutes({ env, log: () => undefined, exchange: { feeds } as never }));
  const seen = new Set<string>();
  for (let i = 0; i < 2; i++) {
    const answer = await app.request('/federation/feeds', { headers: { accept: FRONTIER_SEQUENCE } });
    const body = new Uint8Array(await answer.arrayBuffer());
    expect(await read(body, 65_536, seen)).toEqual({
      pages: FRONTIER_SEQUENCE_LIMITS.sequencePages,
      end: hex(digest),
    });
  }
  expect(places, 'each answer has drawn one').toEqual([]);
  expect(seen.size).toBe(groups.length);
});
