import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { systemEnv } from '../../../daemon/system-env.ts';
import type { Env } from '../../../protocols/env.ts';
import { OWN_COVERAGE } from '../../../protocols/digest/coverage.ts';
import { frontierOf } from '../../../protocols/feed/frontier.ts';
import type { FrontierGroup } from '../../../protocols/mycelium/frontier-page.ts';
import { Offences } from '../../../protocols/mycelium/offences.ts';
import type { PullEvent } from '../../../protocols/mycelium/pull-event.ts';
import { Puller } from '../../../protocols/mycelium/puller.ts';
import { rangeItems, type RangeRequest } from '../../../protocols/mycelium/range.ts';
import type { Merger } from '../../../protocols/open-dialog/merger.ts';
import type { RangeItem } from '../../../protocols/mycelium/range-item.ts';
import { type Identity, identityFromSeed, type PeerId } from '../../../protocols/wire/identity.ts';
import type { Channel } from '../../../protocols/wire/ids.ts';
import { Hand, priceOps } from '../../support/forge.ts';
import { type LedgerNode, openLedgerNode } from '../../support/ledger-node.ts';
import { tempDir } from '../../support/temp-dir.ts';
import { waitFor } from '../../support/wait.ts';
import { threadedMerger } from '../../support/merger.ts';

const own = identityFromSeed(new Uint8Array(32).fill(1));
const other = identityFromSeed(new Uint8Array(32).fill(2));
const peer = other.peerId;
const connection = { remotePeer: { toString: () => peer }, status: 'open', direction: 'outbound' } as never;

let dirs: ReturnType<typeof tempDir>[] = [];
let merger: Merger;
let nodes: LedgerNode[] = [];
beforeEach(() => {
  merger = threadedMerger();
});
afterEach(async () => {
  for (const node of nodes) await node.close();
  for (const dir of dirs) dir.remove();
  [nodes, dirs] = [[], []];
  await merger.stop();
});

async function open(identity: Identity): Promise<LedgerNode> {
  const dir = tempDir('puller');
  dirs.push(dir);
  const node = await openLedgerNode(dir.path, identity, merger);
  nodes.push(node);
  return node;
}

/** Everything of one node into another. */
async function give(from: LedgerNode, to: LedgerNode): Promise<void> {
  for (const { author, channel } of from.store.feedGroups())
    for await (const { bytes } of rangeItems(from.store, { author, channel, have: [] }))
      await to.ledger.receive([bytes]);
}

function frontier(of: LedgerNode): FrontierGroup[] {
  return of.store.feedGroups().map(({ author, channel, feeds }) => ({
    author,
    channel,
    items: frontierOf(feeds),
    digest: '',
  }));
}

/** The puller of a node over the real ranges of another; `gate` holds up those that it names. */
function pullerOf(
  node: LedgerNode,
  from: LedgerNode,
  gate: (request: RangeRequest) => Promise<void> = async () => undefined,
  items: (request: RangeRequest) => AsyncIterable<RangeItem> = (request) => rangeItems(from.store, request),
  parts: {
    readonly env?: Pick<Env, 'after' | 'cpu' | 'monotonic'>;
    readonly follows?: (author: PeerId) => boolean;
  } = {},
): { puller: Puller; events: PullEvent[] } {
  const events: PullEvent[] = [];
  const puller = new Puller({
    env: systemEnv,
    self: node.self,
    libp2p: { getConnections: () => [connection] },
    transportTo: () => ({
      async *range(request) {
        await gate(request);
        for await (const item of items(request)) yield [item];
      },
    }),
    source: node.store,
    ledger: node.ledger,
    access: { mayReplicate: () => true, mayHold: () => true },
    offences: new Offences(),
    digestOf: () => 'cd'.repeat(32),
    follows: () => true,
    now: Date.now,
    onEvent: (event) => events.push(event),
    ...parts,
  });
  return { puller, events };
}
const known = { same: [], knows: OWN_COVERAGE, covers: OWN_COVERAGE };
const answers = (events: readonly PullEvent[]): number =>
  events.filter(({ kind }) => kind === 'own-held').length;
const pulled = (events: readonly PullEvent[]): number =>
  events.filter((event) => event.kind === 'peer-synced' && event.pulled === true).length;

it('an announcement is no answer: it tells nothing of the other feeds', async () => {
  const [before, buyer, restored] = [await open(own), await open(other), await open(own)];
  await before.catalogue.createListing({ type: 'offer', title: 'Maize' });
  await before.catalogue.createContract({ title: 'ten bags' }, [peer]);
  await give(before, buyer);
  const listing = frontier(buyer).find(
    ({ author, channel }) => author === own.peerId && channel === 'public',
  );
  const [item] = listing?.items ?? [];
  if (item === undefined) throw new Error('no entry');
  const { puller, events } = pullerOf(restored, buyer);
  puller.announced(peer, { author: own.peerId, channel: 'public', ...item });
  await waitFor('the pull', async () => pulled(events) > 0, 5000);
  expect(answers(events)).toBe(0);
  await puller.onFrontier(connection, { groups: frontier(buyer), ...known });
  await waitFor('the answer', async () => answers(events) === 1, 5000);
  await puller.stop();
});

it('a peer has answered when the contracts are back that the own steps are in', async () => {
  const [before, buyer, restored] = [await open(own), await open(other), await open(own)];
  const { state } = await buyer.catalogue.createContract({ title: 'ten bags' }, [own.peerId]);
  const channel: Channel = state.channel;
  await give(buyer, before);
  await before.catalogue.patch(state.key, { quantity: 10 });
  await give(before, buyer);
  let release = (): void => undefined;
  const released = new Promise<void>((resolve) => (release = resolve));
  const { puller, events } = pullerOf(restored, buyer, async ({ author }) => {
    if (author === peer) await released;
  });
  await puller.onFrontier(connection, { groups: frontier(buyer), ...known });
  await waitFor('the own feed', async () => restored.store.feeds(own.peerId, channel).length > 0, 5000);
  await waitFor('the end of its pull', async () => pulled(events) > 0, 5000);
  expect(answers(events)).toBe(0);
  release();
  await waitFor('the answer', async () => answers(events) === 1, 5000);
  expect((await restored.views()).has(state.key)).toBe(true);
  await puller.stop();
});

it('compares no digest with a peer that shows none: it is missing something that its frontier stands for', async () => {
  const [author, node] = [await open(other), await open(own)];
  await author.catalogue.createListing({ type: 'offer', title: 'Maize' });
  await give(author, node);
  const differing = async (digest: string): Promise<number> => {
    const { puller, events } = pullerOf(node, author);
    const groups = frontier(author).map((group) => ({ ...group, digest }));
    await puller.onFrontier(connection, { groups, ...known });
    await puller.stop();
    return events.filter(({ kind }) => kind === 'digest-differs').length;
  };
  expect(await differing('ab'.repeat(32))).toBe(1);
  expect(await differing('')).toBe(0);
});

it('who answers with a feed that was not asked for is left alone, and it is not taken', async () => {
  const [holder, asker] = [await open(other), await open(own)];
  await holder.catalogue.createListing({ type: 'offer', title: 'Maize' });
  const hand = new Hand(identityFromSeed(new Uint8Array(32).fill(3)), 'aa'.repeat(8));
  const foreign = hand.next(priceOps(hand.pen, 'Kisumu', 1));
  const { puller, events } = pullerOf(asker, holder, undefined, async function* () {
    yield { kind: 'entry', bytes: foreign.bytes };
  });
  await puller.onFrontier(connection, { groups: frontier(holder), ...known });
  await waitFor('the end', async () => events.some(({ kind }) => kind === 'peer-distrusted'), 5000);
  expect(events).toContainEqual({ kind: 'entry-refused', peer, code: 'not-asked-for' });
  expect(asker.store.feeds(foreign.author, 'public')).toEqual([]);
  await puller.stop();
});

/** Frontier groups of so many authors. */
function groupsOf(count: number): FrontierGroup[] {
  return Array.from({ length: count }, (_, i) => groupOf(`author ${i}` as PeerId, 1));
}

function groupOf(author: PeerId, seq: number): FrontierGroup {
  return {
    author,
    channel: 'public',
    digest: '',
    items: [{ epoch: 'aa'.repeat(8), seq, hash: '11'.repeat(32) }],
  };
}

/** CPU by hand, on the real event loop: each look at an author takes 5 µs. Knows the longest stretch without a turn of the loop. */
function costlyFollows(followed: readonly PeerId[] = []) {
  let [cpuMs, since, longestMs] = [0, 0, 0];
  const stretch = (): number => (longestMs = Math.max(longestMs, cpuMs - since));
  const env: Pick<Env, 'after' | 'cpu' | 'monotonic'> = {
    cpu: () => cpuMs,
    monotonic: () => cpuMs,
    after: (ms, call, options) => {
      stretch();
      return systemEnv.after(
        ms,
        () => {
          since = cpuMs;
          call();
        },
        options,
      );
    },
  };
  const follows = (author: PeerId): boolean => {
    cpuMs += 0.005;
    return followed.includes(author);
  };
  return { env, follows, cpuMs: () => cpuMs, longestMs: stretch };
}

it('gives way while it goes through a frontier of 10,000 authors, and keeps nothing of those that nobody follows', async () => {
  const [holder, node] = [await open(other), await open(own)];
  const costly = costlyFollows([peer]);
  const { puller } = pullerOf(node, holder, undefined, undefined, costly);
  await puller.onFrontier(connection, { groups: [...groupsOf(10_000), groupOf(peer, 1)], ...known });
  expect(puller.frontiers().get(peer)).toEqual([groupOf(peer, 1)]);
  expect(costly.cpuMs()).toBeGreaterThan(50);
  expect(costly.longestMs()).toBeLessThan(10);
  await puller.stop();
});

it('the newer of two frontiers that a peer shows at a time stays, and what it announces meanwhile', async () => {
  const [holder, node] = [await open(other), await open(own)];
  const third = 'third' as PeerId;
  const { puller, events } = pullerOf(node, holder, undefined, undefined, costlyFollows([peer, third]));
  const ended: string[] = [];
  const older = {
    groups: [groupOf(peer, 1), ...groupsOf(10_000)],
    same: [],
    knows: new Map(),
    covers: new Map(),
  };
  const newer = [groupOf(peer, 2), groupOf(own.peerId, 5), ...groupsOf(10)];
  const both = [
    puller.onFrontier(connection, older).then(() => ended.push('older')),
    puller.onFrontier(connection, { groups: newer, ...known }).then(() => ended.push('newer')),
  ];
  const [item] = groupOf(third, 3).items;
  if (item === undefined) throw new TypeError('a group without items');
  puller.announced(peer, { author: third, channel: 'public', ...item });
  await Promise.all(both);
  expect(ended).toEqual(['newer', 'older']);
  expect(puller.frontiers().get(peer)).toEqual([...newer.slice(0, 2), groupOf(third, 3)]);
  expect(puller.frontiersShown(peer)).toBe(2);
  expect(puller.coverageOf(peer)?.knows).toBe(OWN_COVERAGE);
  // An own feed that the newer one shows is lacking, whatever the older one did not show.
  expect(answers(events)).toBe(0);
  await puller.stop();
});

it('stopped while it goes through a frontier, it looks at none of the rest and tells nothing more', async () => {
  const [node, holder] = [await open(own), await open(other)];
  await holder.catalogue.createListing({ type: 'offer', title: 'Maize' });
  const [group] = frontier(holder);
  if (group === undefined) throw new TypeError('nothing held');
  // Each step is a turn of the event loop of its own.
  let cpu = 0;
  const env = { ...systemEnv, cpu: () => (cpu += 1000), monotonic: () => (cpu += 1000) };
  const { puller, events } = pullerOf(node, holder, undefined, undefined, { env });
  const shown = puller.onFrontier(connection, { ...known, groups: Array.from({ length: 200 }, () => group) });
  const held = vi.spyOn(node.store, 'feeds');
  for (let i = 0; i < 5; i++) await new Promise(setImmediate);
  await puller.stop();
  await shown;
  held.mockClear();
  await puller.onFrontier(connection, { ...known, groups: [group] });
  for (let i = 0; i < 300; i++) await new Promise(setImmediate);
  expect(held.mock.calls).toEqual([]);
  expect(events).toEqual([]);
});
