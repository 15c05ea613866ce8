import { afterAll, expect, it } from 'vitest';
import { HttpTarget } from '../../../daemon/federation/http-target.ts';
import { systemEnv } from '../../../daemon/system-env.ts';
import type { Entry } from '../../../protocols/feed/entry.ts';
import { decodeItems, ITEM_SEQUENCE } from '../../../protocols/mycelium/item-sequence.ts';
import { encodeMessage } from '../../../protocols/mycelium/message.ts';
import { FRAME_LIMITS } from '../../../protocols/mycelium/range-frame.ts';
import { encodeItem } from '../../../protocols/mycelium/range-item.ts';
import { concat } from '../../../protocols/wire/bytes.ts';
import { recordKey } from '../../../protocols/wire/ids.ts';
import { LIMITS } from '../../../protocols/wire/limits.ts';
import { type ExchangeNode, startExchangeNode } from '../../support/exchange-node.ts';
import { Hand, randomFrom, someIdentity } from '../../support/forge.ts';
import { befriend, registerHere, startNode, type TestNode, TEST_KEY } from '../../support/in-process-node.ts';
import { entryOfSize, opsOfSize } from '../../support/sized-entries.ts';
import { tempDir } from '../../support/temp-dir.ts';
import { waitFor } from '../../support/wait.ts';

/*
 * What can be committed can be sent: one feed whose entries stand around the limit, none of which compresses, over every road there is. Three of 80 KB
 * before one that just fits once made a frame that no peer took, and the same question gave the same frame again for ever.
 */
const SEED = 7;
const random = randomFrom(SEED);
const author = someIdentity(random);
const hand = new Hand(author, random.hex(8));
const E = LIMITS.entryBytes;
const SIZES = [80_000, 80_000, 80_000, E - 1, E, 1000, E, 60_000, LIMITS.gossipEntryBytes, E - 1];
const entries: readonly Entry[] = SIZES.map((size) => entryOfSize(hand, random, size));
const public_ = 'public' as const;

let dirs: ReturnType<typeof tempDir>[] = [];
let nodes: TestNode[] = [];
let exchanges: ExchangeNode[] = [];

afterAll(async () => {
  for (const node of nodes) await node.stop();
  for (const node of exchanges) await node.stop();
  for (const dir of dirs) dir.remove();
  [nodes, exchanges, dirs] = [[], [], []];
});

async function node(): Promise<TestNode> {
  const dir = tempDir('entry-limit');
  dirs.push(dir);
  const started = await startNode(dir.path);
  nodes.push(started);
  await registerHere(started, author.peerId);
  return started;
}

async function exchangeNode(): Promise<ExchangeNode> {
  const started = await startExchangeNode();
  exchanges.push(started);
  started.befriend({ identity: author, url: '' });
  return started;
}

const bytesOf = (list: readonly Entry[]): Uint8Array[] => list.map(({ bytes }) => bytes);
const heldBy = ({ store }: { store: TestNode['node']['store'] }): number =>
  store.feeds(author.peerId, public_)[0]?.seq ?? 0;

it('an entry above the limit is not sealed, nor one of more ops than it may have', () => {
  const other = new Hand(author, random.hex(8));
  const place = { seq: 1, prev: null };
  const [first = new Uint8Array(0), ...rest] = opsOfSize(other, random, E);
  expect(other.sign([first, ...rest], place).bytes.length).toBe(E);
  expect(() => other.sign([...rest, first.subarray(1), Uint8Array.of(1, 2, 3)], place)).toThrow(/at most/);
  const ops = (count: number): Uint8Array[] => Array.from({ length: count }, () => Uint8Array.of(1));
  expect(other.sign(ops(LIMITS.entryOps), place).header.n).toBe(LIMITS.entryOps);
  expect(() => other.sign(ops(LIMITS.entryOps + 1), place)).toThrow(/ops/);
  expect(() => other.sign([], place)).toThrow(/ops/);
});

it('over libp2p: announced by gossip, pulled as a range', async () => {
  const [holder, asker] = [await node(), await node()];
  await befriend(holder, asker);
  await waitFor('a connection', () => asker.node.host.libp2p.getConnections().length > 0, 20_000);
  await holder.node.ledger.receive(bytesOf(entries));
  expect(heldBy(holder.node)).toBe(SIZES.length);
  const last = entries.at(-1);
  if (last === undefined) throw new Error('no entries');
  const { epoch, seq } = last.header;
  const announcement = { author: author.peerId, channel: public_, epoch, seq, hash: last.hash };
  const told = await asker.node.mycelium.gossiped(
    encodeMessage({ kind: 'announcement', announcement }),
    holder.peerId,
  );
  expect(told).toBe('accept');
  await waitFor('the whole feed', () => heldBy(asker.node) === SIZES.length, 30_000);
}, 90_000);

it('an entry at the limit of gossip goes out whole, one above it is announced', async () => {
  const holder = await node();
  for (const size of [LIMITS.gossipEntryBytes - 1, LIMITS.gossipEntryBytes]) {
    const small = new Hand(author, random.hex(8));
    const { bytes } = entryOfSize(small, random, size);
    await registerHere(holder, author.peerId);
    const other = someIdentity(random);
    await registerHere(holder, other.peerId);
    expect(
      await holder.node.mycelium.gossiped(encodeMessage({ kind: 'entry', bytes }), other.peerId),
      String(size),
    ).toBe('accept');
  }
}, 60_000);

it('over HTTPS, by the daemon itself and by a worker', async () => {
  const [holder, asker, behind] = [await exchangeNode(), await exchangeNode(), await exchangeNode()];
  await holder.ledgerNode.ledger.receive(bytesOf(entries));
  for (const one of [asker, behind]) {
    one.befriend(holder);
    holder.befriend(one);
  }
  expect(await asker.sync(holder.identity.peerId)).toMatchObject({ received: SIZES.length, refused: 0 });
  expect(heldBy(asker.ledgerNode)).toBe(SIZES.length);
  behind.trustEveryone = ['read', 'worker'];
  const target = new HttpTarget(behind.url, 'a-key', systemEnv);
  expect(await behind.sync(holder.identity.peerId, { target })).toMatchObject({ received: SIZES.length });
  expect(heldBy(behind.ledgerNode)).toBe(SIZES.length);
}, 90_000);

it('in a file', async () => {
  const [holder, taker] = [await node(), await node()];
  await holder.node.ledger.receive(bytesOf(entries));
  const written = await holder.request('GET', `/federation/feed-file?author=${author.peerId}`);
  const pieces: Uint8Array[][] = [[]];
  let size = 0;
  if (written.body === null) throw new Error('no body');
  for await (const item of decodeItems(written.body)) {
    const bytes = encodeItem(item);
    if (size + bytes.length > FRAME_LIMITS.frameBytes) {
      pieces.push([]);
      size = 0;
    }
    pieces.at(-1)?.push(bytes);
    size += bytes.length;
  }
  for (const piece of pieces) {
    const answer = await taker.app.request('/federation/feed-file', {
      method: 'POST',
      headers: { 'x-api-key': TEST_KEY, 'content-type': ITEM_SEQUENCE },
      body: Buffer.from(concat(piece)),
    });
    expect(await answer.json()).toMatchObject({ accepted: piece.length });
  }
  expect(heldBy(taker.node)).toBe(SIZES.length);
}, 60_000);

it('a burst of listings with pictures becomes as many entries as it takes, and each arrives', async () => {
  const [holder, asker] = [await node(), await node()];
  await befriend(holder, asker);
  const picture = (): string => Buffer.from(random.bytes(6000)).toString('base64');
  const count = 70;
  const answers = await Promise.all(
    Array.from({ length: count }, (_, i) =>
      holder.request('PUT', `/listings/picture${i}`, {
        type: 'offer',
        title: 'picture',
        images: JSON.stringify([picture()]),
        description: picture(),
      }),
    ),
  );
  expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 201));
  const feed = (): { no: number; seq: number } | undefined =>
    holder.node.store.feeds(holder.node.identity.peerId, public_)[0];
  expect(feed()?.seq).toBeGreaterThan(1);
  await waitFor('all of them', async () => (await asker.digest()) === (await holder.digest()), 40_000);
  for await (const bytes of holder.node.store.entriesFrom(feed()?.no ?? 0, 1, feed()?.seq ?? 0))
    expect(bytes.length).toBeLessThanOrEqual(E);
}, 90_000);

it('a write that fits no entry is refused before it is signed', async () => {
  const holder = await node();
  const { ledger, identity, store } = holder.node;
  const before = store.feeds(identity.peerId, public_)[0]?.seq ?? 0;
  const write = ledger.write({
    keys: [],
    draft: () => [
      {
        key: recordKey('prices', identity.peerId, 'x'.repeat(43)),
        channel: public_,
        ops: Array.from({ length: 17 }, () => random.bytes(LIMITS.opBytes)),
      },
    ],
  });
  await expect(write).rejects.toMatchObject({ code: 'body-too-large' });
  expect(store.feeds(identity.peerId, public_)[0]?.seq ?? 0).toBe(before);
});
