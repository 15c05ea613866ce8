import { streamPair } from '@libp2p/utils';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { SyncTarget } from '../../../api/ports/sync-target.ts';
import { HttpTarget } from '../../../daemon/federation/http-target.ts';
import { systemEnv } from '../../../daemon/system-env.ts';
import { encodeOp } from '../../../protocols/feed/op.ts';
import { HeldFeeds } from '../../../protocols/mycelium/held-feeds.ts';
import { pullFeed } from '../../../protocols/mycelium/pull.ts';
import { RANGE_LIMITS, type RangeRequest } from '../../../protocols/mycelium/range.ts';
import { RangeProtocol } from '../../../protocols/mycelium/range-protocol.ts';
import { StreamTransport } from '../../../protocols/mycelium/stream-transport.ts';
import type { PeerId } from '../../../protocols/wire/identity.ts';
import type { Channel } from '../../../protocols/wire/ids.ts';
import type { PeerConnection, StreamHandler } from '../../../protocols/wire/stream.ts';
import { type ExchangeNode, startExchangeNode } from '../../support/exchange-node.ts';
import { Hand } from '../../support/forge.ts';
import { inlineReader } from '../../support/inline-reader.ts';

/*
 * A feed of more epochs than one request names: each pull once brought again what was held of the others. The feed is in a private channel, in
 * which an author may begin ten thousand epochs a day; both nodes hold them.
 */
const LIMIT = RANGE_LIMITS.epochs;
const op = encodeOp({ v: 1, c: 'later', k: '', t: 'fact', d: new Uint8Array(1) });
const epochOf = (i: number): string => (i * 7 + 1).toString(16).padStart(16, '0');

let [holder, asker]: ExchangeNode[] = [];
let channel: Channel;
let first: Hand;
let last: Hand;
let epochs = 0;

function node(which: ExchangeNode | undefined): ExchangeNode {
  if (which === undefined) throw new Error('not started');
  return which;
}

beforeAll(async () => {
  [holder, asker] = [await startExchangeNode(), await startExchangeNode()];
  holder.befriend(asker);
  asker.befriend(holder);
  const { ledgerNode } = holder;
  const { state } = await ledgerNode.catalogue.createContract({ title: 'ten bags' }, [asker.identity.peerId]);
  channel = state.channel;
  await holder.refreshParticipants();
  await asker.sync(holder.identity.peerId);
  epochs = feedsOf(asker).length;
  expect(epochs).toBe(1);
}, 60_000);
afterAll(async () => {
  for (const one of [holder, asker]) await one?.stop();
});

/** Epochs of the author until both hold so many. */
async function growTo(count: number): Promise<void> {
  const hands = Array.from(
    { length: count - epochs },
    (_, i) => new Hand(node(holder).identity, epochOf(epochs + i), channel),
  );
  const entries = hands.map((hand) => hand.next([op]).bytes);
  for (const one of [node(holder), node(asker)])
    for (let at = 0; at < entries.length; at += 500)
      for (const { kind, code } of await one.ledgerNode.ledger.receive(entries.slice(at, at + 500)))
        if (kind !== 'accept') throw new Error(`an entry became ${kind} ${code ?? ''}`);
  first ??= hands[0] as Hand;
  last = hands.at(-1) ?? last;
  epochs = count;
  expect(feedsOf(node(asker))).toHaveLength(count);
}

function feedsOf({ ledgerNode }: ExchangeNode): readonly { readonly epoch: string; readonly seq: number }[] {
  return ledgerNode.store.feeds(node(holder).identity.peerId, channel);
}

/** One entry more at the holder in the first and in the last of the epochs. */
async function write(): Promise<void> {
  const entries = [first.next([op]).bytes, last.next([op]).bytes];
  expect(await node(holder).ledgerNode.ledger.receive(entries)).toMatchObject([
    { kind: 'accept' },
    { kind: 'accept' },
  ]);
}

/** The range protocol of the holder over a pair of libp2p's streams. */
async function connectionToHolder(): Promise<{ protocol: RangeProtocol; connection: PeerConnection }> {
  const handlers: StreamHandler[] = [];
  const peer = (of: PeerId, newStream?: () => Promise<unknown>): PeerConnection =>
    ({ remotePeer: { toString: () => of }, newStream }) as never;
  const make = ({ ledgerNode }: ExchangeNode): RangeProtocol =>
    new RangeProtocol(
      {
        env: systemEnv,
        libp2p: {
          handle: async (_, handler) => void handlers.push(handler),
          unhandle: async () => undefined,
          getConnections: () => [],
        },
        source: ledgerNode.store,
        reader: inlineReader(),
        access: { mayReplicate: () => true, mayHold: () => true },
        onFailure: (_, error) => {
          throw error;
        },
      },
      'test',
    );
  await make(node(holder)).start();
  const connection = peer(node(holder).identity.peerId, async () => {
    const [ours, theirs] = await streamPair();
    void handlers[0]?.(theirs, peer(node(asker).identity.peerId));
    return ours;
  });
  return { protocol: make(node(asker)), connection };
}

/** What a pull over libp2p asks and brings. */
async function overStreams(): Promise<{ requests: RangeRequest[]; received: number; items: number }> {
  const { ledgerNode, identity } = node(asker);
  const { protocol, connection } = await connectionToHolder();
  const held = new HeldFeeds({
    env: systemEnv,
    self: identity.peerId,
    source: ledgerNode.store,
    ledger: ledgerNode.ledger,
    follows: () => true,
  });
  const requests: RangeRequest[] = [];
  let items = 0;
  const received = await pullFeed(
    {
      transport: new StreamTransport({ frontier: { ask: () => never() }, range: protocol }, connection),
      target: {
        async rangeRequest(feed, from) {
          const next = held.rangeRequest(feed, from);
          requests.push(next.request);
          return next;
        },
        receive(feed, some) {
          items += some.length;
          return held.receive(node(holder).identity.peerId, feed, some);
        },
      },
      now: systemEnv.monotonic,
    },
    { author: node(holder).identity.peerId, channel },
    { signal: AbortSignal.timeout(60_000), hasOthers: () => false },
  );
  return { requests, received, items };
}

function never(): never {
  throw new Error('no frontier is asked for');
}

/** What a sync over HTTP asks and brings. */
async function overHttp(target: SyncTarget): Promise<{ requests: number; received: number; items: number }> {
  let items = 0;
  const counting: SyncTarget = {
    source: (id) => target.source(id),
    plan: (id, pages) => target.plan(id, pages),
    rangeRequest: (id, feed, from) => target.rangeRequest(id, feed, from),
    receive(id, feed, some) {
      items += some.length;
      return target.receive(id, feed, some);
    },
    importLegacy: (id, body, options) => target.importLegacy(id, body, options),
    renewCertificate: (id) => target.renewCertificate(id),
    noteSync: (id, outcome) => target.noteSync(id, outcome),
  };
  const { served, identity } = node(holder);
  const mark = served.length;
  const { received } = await node(asker).sync(identity.peerId, { target: counting });
  const asked = served.slice(mark).filter(({ path }) => path.startsWith('/federation/feeds/'));
  return { requests: asked.length, received, items };
}

it.each([
  ['one below', LIMIT - 1, 1],
  ['at', LIMIT, 1],
  ['one above', LIMIT + 1, 2],
])(
  '%s the limit of epochs that a request names: nothing that is held is sent again',
  async (_, count, requests) => {
    await growTo(count);
    await write();
    const streamed = await overStreams();
    expect(streamed).toMatchObject({ received: 2, items: 2 });
    expect(streamed.requests.map(({ have }) => have.length)).toEqual(
      requests === 1 ? [count] : [LIMIT, count - LIMIT],
    );
    const all = feedsOf(node(asker)).map(({ epoch }) => epoch);
    expect(streamed.requests.map(({ within }) => within?.[0])).toEqual(
      requests === 1 ? [undefined] : ['00'.repeat(8), all.toSorted().at(LIMIT)],
    );
    await write();
    expect(await overHttp(node(asker).exchange.target)).toEqual({ requests, received: 2, items: 2 });
    await write();
    node(asker).trustEveryone = ['read', 'worker'];
    const worker = new HttpTarget(node(asker).url, 'a-key', systemEnv);
    expect(await overHttp(worker)).toEqual({ requests, received: 2, items: 2 });
    expect(feedsOf(node(asker)).map(({ seq }) => seq)).toEqual(feedsOf(node(holder)).map(({ seq }) => seq));
  },
  180_000,
);
