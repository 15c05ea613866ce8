import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { signErasure } from '../../../protocols/feed/erasure.ts';
import { makeForkProof } from '../../../protocols/feed/fork.ts';
import type { FeedName, Ledger } from '../../../protocols/ledger/types.ts';
import type { RangeItem } from '../../../protocols/mycelium/range-item.ts';
import { takeItems, type TakenItems } from '../../../protocols/mycelium/take-items.ts';
import { threadedMerger } from '../../support/merger.ts';
import type { Identity } from '../../../protocols/wire/identity.ts';
import { type Channel, recordKey } from '../../../protocols/wire/ids.ts';
import { Hand, priceOps, randomFrom, someIdentity } from '../../support/forge.ts';
import { type LedgerNode, openLedgerNode } from '../../support/ledger-node.ts';
import { tempDir } from '../../support/temp-dir.ts';

const SEED = 11;
const random = randomFrom(SEED);
const [asked, other] = [someIdentity(random), someIdentity(random)];
const feed: FeedName = { author: asked.peerId, channel: 'public' };
const PEER = 'the peer';
const turn = { pause: async () => undefined };

let node: LedgerNode;
const dir = tempDir('take-items');
const merger = threadedMerger();
beforeAll(async () => {
  node = await openLedgerNode(dir.path, someIdentity(random), merger);
});
afterAll(async () => {
  await node.close();
  await merger.stop();
  dir.remove();
});

/** One entry of a fresh epoch. */
function entry(identity = asked, channel: Channel = 'public') {
  const hand = new Hand(identity, random.hex(8), channel);
  return hand.next(priceOps(hand.pen, 'Kisumu', 1));
}
const entryItem = (identity = asked, channel: Channel = 'public'): RangeItem => ({
  kind: 'entry',
  bytes: entry(identity, channel).bytes,
});
function proofItem(identity = asked): RangeItem {
  const hand = new Hand(identity, random.hex(8));
  const [one, two] = [1, 2].map((price) => hand.sign(priceOps(hand.pen, 'Kisumu', price)));
  if (one === undefined || two === undefined) throw new Error('no entries');
  return { kind: 'proof', bytes: makeForkProof(one, two).bytes };
}

const erasureItem = (identity: Identity): RangeItem => ({
  kind: 'erasure',
  bytes: signErasure(identity, {
    channel: 'public',
    epoch: random.hex(8),
    seq: 1,
    record: recordKey('listings', identity.peerId, 'a'),
    ops: [{ index: 0, hash: random.hex(32) }],
    time: 1_700_000_000_000,
  }),
});

async function take(
  items: readonly RangeItem[],
  ledger: Pick<Ledger, 'receive' | 'receiveProof' | 'receiveErasure'> = node.ledger,
): Promise<{ taken?: TakenItems; code?: string; refused: string[] }> {
  const refused: string[] = [];
  const onRefused = (code: string): number => refused.push(code);
  try {
    return { taken: await takeItems(ledger, PEER, feed, items, { turn, onRefused }), refused };
  } catch (error) {
    return { code: (error as { code?: string }).code ?? String(error), refused };
  }
}

describe('items of an answer', () => {
  it('that were asked for are taken, and known the next time', async () => {
    const items = [entryItem(), entryItem(), proofItem()];
    expect(await take(items)).toEqual({
      taken: { accepted: 2, known: 0, ignored: 0, reasons: {} },
      refused: [],
    });
    expect((await take(items)).taken).toMatchObject({ accepted: 0, known: 2 });
  });

  const cut = (item: RangeItem): RangeItem => ({ ...item, bytes: item.bytes.slice(0, -1) });
  const changed = (item: RangeItem): RangeItem => {
    const bytes = item.bytes.slice();
    bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
    return { ...item, bytes };
  };
  const private_ = recordKey('contracts', asked.peerId, 'a');
  const bad: readonly [string, string, () => RangeItem][] = [
    ['an entry of another author', 'not-asked-for', () => entryItem(other)],
    ['an entry of another channel', 'not-asked-for', () => entryItem(asked, private_)],
    ['a proof of another author', 'not-asked-for', () => proofItem(other)],
    ['an erasure of another author', 'not-asked-for', () => erasureItem(other)],
    ['an entry that was cut', 'not-canonical', () => cut(entryItem())],
    ['an entry that was changed', 'body-mismatch', () => changed(entryItem())],
    ['a proof that was cut', 'not-canonical', () => cut(proofItem())],
    ['a proof that was changed', 'signature-invalid', () => changed(proofItem())],
    ['an erasure of nothing', 'envelope-malformed', () => ({ kind: 'erasure', bytes: new Uint8Array(3) })],
  ];
  it.each(bad)('end it for %s', async (_, code, item) => {
    const found = await take([item(), entryItem()]);
    expect(found, code).toMatchObject({ code: 'peer-sent-invalid', refused: [code] });
  });

  it('that a full disk keeps out are not the peer’s fault, and nothing of them is held', async () => {
    const full = {
      ...node.ledger,
      receive: async (list: readonly Uint8Array[]) =>
        list.map(() => ({ kind: 'ignore' as const, code: 'disk-full' as const })),
    };
    expect(await take([entryItem()], full)).toEqual({ code: 'disk-full', refused: ['disk-full'] });
  });

  it('that are ignored are counted by their reason and do not keep the others out', async () => {
    const hand = new Hand(asked, random.hex(8));
    const gap: RangeItem = {
      kind: 'entry',
      bytes: hand.sign(priceOps(hand.pen, 'Kisumu', 1), { seq: 5, prev: '11'.repeat(32) }).bytes,
    };
    const exceeded = { ...node.ledger, receiveProof: async () => 'exceeded' as const };
    expect(await take([proofItem(), gap, entryItem()], exceeded)).toEqual({
      taken: { accepted: 1, known: 0, ignored: 2, reasons: { gap: 1, 'forks-exceeded': 1 } },
      refused: ['forks-exceeded'],
    });
  });
});
