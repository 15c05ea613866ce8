import { afterEach, beforeEach, expect, it } from 'vitest';
import { systemEnv } from '../../../daemon/system-env.ts';
import { OWN_COVERAGE } from '../../../protocols/digest/coverage.ts';
import { frontierOf } from '../../../protocols/feed/frontier.ts';
import type { FrontierGroup } from '../../../protocols/mycelium/frontier-page.ts';
import { Offences } from '../../../protocols/mycelium/offences.ts';
import { createPuller, type Puller, type PullEvent } from '../../../protocols/mycelium/puller.ts';
import { rangeItems, type RangeRequest } from '../../../protocols/mycelium/range.ts';
import type { Merger } from '../../../protocols/open-dialog/merger.ts';
import type { RangeItem } from '../../../protocols/mycelium/range-item.ts';
import { type Identity, identityFromSeed } from '../../../protocols/wire/identity.ts';
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
): { puller: Puller; events: PullEvent[] } {
  const events: PullEvent[] = [];
  const puller = createPuller({
    env: systemEnv,
    self: node.self,
    libp2p: { getConnections: () => [connection] },
    range: {
      start: async () => undefined,
      stop: async () => undefined,
      async *pull(_, request) {
        await gate(request);
        for await (const item of items(request)) yield [item];
      },
    },
    source: node.store,
    ledger: node.ledger,
    access: { mayReplicate: () => true, mayHold: () => true },
    offences: new Offences(),
    digestOf: () => 'cd'.repeat(32),
    follows: () => true,
    now: Date.now,
    onEvent: (event) => events.push(event),
  });
  return { puller, events };
}
const known = { knows: OWN_COVERAGE, covers: OWN_COVERAGE };
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
  puller.stop();
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
  puller.stop();
});

it('compares no digest with a peer that shows none: it is missing something that its frontier stands for', async () => {
  const [author, node] = [await open(other), await open(own)];
  await author.catalogue.createListing({ type: 'offer', title: 'Maize' });
  await give(author, node);
  const differing = async (digest: string): Promise<number> => {
    const { puller, events } = pullerOf(node, author);
    const groups = frontier(author).map((group) => ({ ...group, digest }));
    await puller.onFrontier(connection, { groups, ...known });
    puller.stop();
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
  puller.stop();
});
