import { readFileSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import type { Host } from '../../../daemon/libp2p-host.ts';
import { systemEnv } from '../../../daemon/system-env.ts';
import { OWN_COVERAGE } from '../../../protocols/digest/coverage.ts';
import { isSendersFault } from '../../../protocols/error-codes.ts';
import {
  decodeOpening,
  decodeOpeningAnswer,
  decodePlaces,
  differingPlaces,
  encodeOpening,
  encodeOpeningAnswer,
  encodePlaces,
  FRONTIER_PLACES,
  frontierRoot,
  groupHash,
  groupPlace,
  type PlacedHash,
  placeDigests,
} from '../../../protocols/mycelium/frontier-digest.ts';
import { decodeFrontier, encodePage, type FrontierGroup } from '../../../protocols/mycelium/frontier-page.ts';
import { FrontierProtocol } from '../../../protocols/mycelium/frontier-exchange.ts';
import { wholeFrontier } from '../../../protocols/mycelium/frontier-stream.ts';
import { FrontierView } from '../../../protocols/mycelium/frontier-view.ts';
import { fromHex, hex, sha256Hex } from '../../../protocols/wire/bytes.ts';
import type { PeerId } from '../../../protocols/wire/identity.ts';
import { type Channel, recordKey } from '../../../protocols/wire/ids.ts';
import type { FramedStream } from '../../../protocols/wire/framed-stream.ts';
import { bareHost } from '../../support/bare-host.ts';
import { randomFrom, someIdentity } from '../../support/forge.ts';
import { heldFeed, type MyceliumPair, myceliumPair, type PairedNode } from '../../support/mycelium-pair.ts';
import { waitFor } from '../../support/wait.ts';

type Refused = readonly { name: string; bytes: string; code: string }[];

const { frontierDigests: vectors } = JSON.parse(
  readFileSync(new URL('../../../protocols/vectors.json', import.meta.url), 'utf8'),
) as {
  frontierDigests: {
    groups: readonly (FrontierGroup & PlacedHash)[];
    root: string;
    emptyRoot: string;
    digests: string;
    withoutTheLast: { digests: string; differing: number[] };
    knows: Record<string, number>;
    opening: string;
    same: string;
    others: string;
    places: string;
    noPlaces: string;
    refused: { openings: Refused; answers: Refused; places: Refused };
  };
};

describe('vectors', () => {
  const { groups } = vectors;
  const fewer = fromHex(vectors.withoutTheLast.digests);
  const knows = new Map(Object.entries(vectors.knows));

  it('groups have their place and hash, frontiers their digests and root', () => {
    for (const { place, hash, ...group } of groups)
      expect([groupPlace(group), groupHash(group)]).toEqual([place, hash]);
    expect(hex(placeDigests(groups))).toBe(vectors.digests);
    expect(hex(frontierRoot(groups.toReversed()))).toBe(vectors.root);
    expect(hex(frontierRoot([]))).toBe(vectors.emptyRoot);
    expect(hex(placeDigests(groups.slice(0, -1)))).toBe(vectors.withoutTheLast.digests);
    expect(differingPlaces(fromHex(vectors.digests), fewer)).toEqual(vectors.withoutTheLast.differing);
    expect(vectors.withoutTheLast.differing).toEqual([groups.at(-1)?.place]);
  });

  it('frames are what they say, and back', () => {
    const opening = { knows, root: fromHex(vectors.root) };
    expect(hex(encodeOpening(opening))).toBe(vectors.opening);
    expect(decodeOpening(fromHex(vectors.opening))).toEqual(opening);
    for (const [digests, bytes] of [
      [undefined, vectors.same],
      [fewer, vectors.others],
    ] as const) {
      expect(hex(encodeOpeningAnswer({ knows, digests }))).toBe(bytes);
      expect(decodeOpeningAnswer(fromHex(bytes))).toEqual({ knows, digests });
    }
    for (const [places, bytes] of [
      [vectors.withoutTheLast.differing, vectors.places],
      [[], vectors.noPlaces],
    ] as const) {
      expect(hex(encodePlaces(places))).toBe(bytes);
      expect(decodePlaces(fromHex(bytes))).toEqual(places);
    }
  });

  it.each(vectors.refused.openings)('refused opening: $name', ({ bytes, code }) => {
    expect(() => decodeOpening(fromHex(bytes))).toThrow(expect.objectContaining({ code }));
  });
  it.each(vectors.refused.answers)('refused answer: $name', ({ bytes, code }) => {
    expect(() => decodeOpeningAnswer(fromHex(bytes))).toThrow(expect.objectContaining({ code }));
  });
  it.each(vectors.refused.places)('refused places: $name', ({ bytes, code }) => {
    expect(() => decodePlaces(fromHex(bytes))).toThrow(expect.objectContaining({ code }));
  });
});

const random = randomFrom(12);
const [ONE, OTHER, THIRD] = [someIdentity(random), someIdentity(random), someIdentity(random)].map(
  ({ peerId }) => peerId,
) as [PeerId, PeerId, PeerId];

let pair: MyceliumPair | undefined;
afterEach(() => pair?.stop());

async function twoNodes(old: readonly PeerId[] = []): Promise<readonly [PairedNode, PairedNode]> {
  pair = await myceliumPair([ONE, OTHER], { old });
  return pair.nodes;
}

/** One asks the other; what their streams have cost in bytes, and what each has shown. */
async function exchange([one, other]: readonly [PairedNode, PairedNode]) {
  const before = pair?.bytes() ?? 0;
  const shown = other.mycelium.frontiersShown(one.peer);
  await one.mycelium.syncNow();
  await waitFor('the other side', () => other.mycelium.frontiersShown(one.peer) > shown);
  const sorted = (node: PairedNode, peer: PeerId): string[] =>
    (node.mycelium.frontiers().get(peer) ?? []).map((group) => textOf(group)).sort();
  return {
    bytes: (pair?.bytes() ?? 0) - before,
    ofOther: sorted(one, OTHER),
    ofOne: sorted(other, ONE),
  };
}

function hold(nodes: readonly PairedNode[], author: PeerId, seq: number, channel: Channel = 'public'): void {
  for (const { feeds, digests } of nodes) {
    feeds.keep(heldFeed(author, seq, channel));
    digests.set(author, sha256Hex(`${author} ${seq}`));
  }
}

/** What a node shows of feeds up to `seq`, as the other has it. */
function groupText(author: PeerId, seq: number, channel: Channel = 'public'): string {
  const { epoch, hash } = heldFeed(author, seq, channel);
  const digest = channel === 'public' ? sha256Hex(`${author} ${seq}`) : '';
  return textOf({ author, channel, items: [{ epoch, seq, hash }], digest });
}

function textOf({ author, channel, items, digest }: FrontierGroup): string {
  return JSON.stringify([
    author,
    channel,
    digest,
    ...items.map(({ epoch, seq, hash }) => [epoch, seq, hash]),
  ]);
}

const kinds = ({ events }: PairedNode): string[] => events.map(({ kind }) => kind);

describe('frontier/2', () => {
  const authors = Array.from({ length: 1000 }, () => someIdentity(random).peerId);

  it('equals of a thousand authors tell each other so in 2 KB at most, and each knows what the other has', async () => {
    const nodes = await twoNodes();
    for (const author of authors) hold(nodes, author, 3);
    const { bytes, ofOther, ofOne } = await exchange(nodes);
    const all = authors.map((author) => groupText(author, 3)).sort();
    expect(ofOther).toEqual(all);
    expect(ofOne).toEqual(all);
    expect(bytes).toBeLessThan(256);
    expect(nodes.map(kinds)).toEqual([
      ['peer-synced', 'own-held'],
      ['peer-synced', 'own-held'],
    ]);
    expect(nodes[0].opened).toEqual(['/agrinet/test/frontier/2']);
  });

  it('what differs is shown, and nothing of the other places', async () => {
    const nodes = await twoNodes();
    const [one, other] = nodes;
    for (const author of authors) hold(nodes, author, 3);
    const [moved = ONE] = authors;
    hold([other], moved, 4);
    hold([one], THIRD, 1);
    const { bytes, ofOther, ofOne } = await exchange(nodes);
    const rest = authors.filter((author) => author !== moved).map((author) => groupText(author, 3));
    expect(ofOther).toEqual([...rest, groupText(moved, 4)].sort());
    expect(ofOne).toEqual([...rest, groupText(moved, 3), groupText(THIRD, 1)].sort());
    expect(bytes).toBeLessThan(10_000);
  });

  it('a private channel is compared with its participants alone', async () => {
    const nodes = await twoNodes();
    const [one, other] = nodes;
    const shared = recordKey('conversations', ONE, 'shared');
    const foreign = recordKey('conversations', ONE, 'foreign');
    for (const node of nodes) node.participants.set(shared, [ONE, OTHER]);
    one.participants.set(foreign, [ONE, THIRD]);
    hold(nodes, ONE, 2);
    hold(nodes, ONE, 5, shared);
    hold([one], ONE, 9, foreign);
    // `hold` has set the digest of ONE's public records anew each time; the two agree on it.
    for (const node of nodes) node.digests.set(ONE, sha256Hex(`${ONE} 2`));
    const equal = await exchange(nodes);
    expect(equal.bytes).toBeLessThan(256);
    expect(equal.ofOne).toEqual([groupText(ONE, 2), groupText(ONE, 5, shared)].sort());
    hold([other], ONE, 6, shared);
    other.digests.set(ONE, sha256Hex(`${ONE} 2`));
    const { ofOther } = await exchange(nodes);
    expect(ofOther).toEqual([groupText(ONE, 2), groupText(ONE, 6, shared)].sort());
  });

  it('equal frontiers with unequal digests differ, and both say so', async () => {
    const nodes = await twoNodes();
    for (const author of authors.slice(0, 10)) hold(nodes, author, 3);
    const [author = ONE] = authors;
    nodes[1].digests.set(author, '77'.repeat(32));
    await exchange(nodes);
    for (const [i, { events }] of nodes.entries())
      expect(events).toContainEqual({ kind: 'digest-differs', peer: i === 0 ? OTHER : ONE, author });
  });

  it('a feed that names what both lack is asked for though both show the same', async () => {
    const nodes = await twoNodes();
    const after = [{ epoch: 'ee'.repeat(8), seq: 1, hash: '99'.repeat(32) }];
    for (const { feeds } of nodes) feeds.keep({ ...heldFeed(ONE, 3), after });
    await exchange(nodes);
    await waitFor('the range', () => nodes[0].opened.includes('/agrinet/test/range/1'));
  });

  it('a node that holds nothing is shown everything', async () => {
    const nodes = await twoNodes();
    for (const author of authors) hold([nodes[1]], author, 3);
    const { ofOther, ofOne } = await exchange(nodes);
    expect(ofOther).toEqual(authors.map((author) => groupText(author, 3)).sort());
    expect(ofOne).toEqual([]);
  });

  it.each([
    ['asks', [ONE]],
    ['answers', [OTHER]],
  ] as const)('where one %s that speaks only the first version, pages go as before', async (_, old) => {
    const nodes = await twoNodes(old);
    for (const author of authors.slice(0, 20)) hold(nodes, author, 3);
    const { ofOther, ofOne } = await exchange(nodes);
    const all = authors
      .slice(0, 20)
      .map((author) => groupText(author, 3))
      .sort();
    expect([ofOther, ofOne]).toEqual([all, all]);
    expect(nodes[0].opened).toEqual(['/agrinet/test/frontier/1']);
  });

  it('whatever two nodes hold, each has the whole frontier of the other in the end', async () => {
    for (let round = 0; round < 20; round++) {
      const nodes = await twoNodes();
      const held = authors.slice(0, random.int(600));
      const expected: [string[], string[]] = [[], []];
      for (const author of held)
        for (const [i, node] of nodes.entries()) {
          const seq = 1 + random.int(random.int(4) === 0 ? 3 : 1);
          if (random.int(40) === 0) continue;
          hold([node], author, seq);
          expected[i === 0 ? 0 : 1].push(groupText(author, seq));
        }
      const { ofOther, ofOne } = await exchange(nodes);
      expect(ofOne).toEqual(expected[0].sort());
      expect(ofOther).toEqual(expected[1].sort());
      await pair?.stop();
    }
  });
});

describe('an asker of frontier/2 that', () => {
  const soon = (): AbortSignal => AbortSignal.timeout(5000);
  const root = new Uint8Array(32);
  const author = someIdentity(random).peerId;

  async function opened(): Promise<{ node: PairedNode; frames: FramedStream }> {
    const nodes = await twoNodes();
    hold(nodes, author, 3);
    const frames = await pair?.open('/agrinet/test/frontier/2');
    if (frames === undefined) throw new Error('no stream');
    return { node: nodes[1], frames };
  }

  it('knows fewer collections is answered over what both know', async () => {
    const { frames } = await opened();
    const knows = new Map([...OWN_COVERAGE].slice(1));
    await frames.write(encodeOpening({ knows, root }), soon());
    const answer = await frames.read(soon());
    expect(answer && decodeOpeningAnswer(answer).knows).toEqual(OWN_COVERAGE);
    const place = groupPlace({ author, channel: 'public' });
    await frames.write(encodePlaces([place]), soon());
    await frames.close(soon());
    const page = await frames.read(soon());
    const shown = page && decodeFrontier(page).groups;
    expect(shown?.map((group) => textOf(group))).toEqual([groupText(author, 3)]);
    expect(await frames.read(soon())).toBeNull();
  });

  it('names no place is shown nothing, and taken for an equal', async () => {
    const { node, frames } = await opened();
    await frames.write(encodeOpening({ knows: OWN_COVERAGE, root }), soon());
    await frames.read(soon());
    await frames.write(encodePlaces([]), soon());
    await frames.close(soon());
    const page = await frames.read(soon());
    expect(page && decodeFrontier(page).groups).toEqual([]);
    await waitFor('it to be noted', () => node.mycelium.frontiersShown(ONE) === 1);
    expect(node.mycelium.frontiers().get(ONE)?.map(textOf)).toEqual([groupText(author, 3)]);
  });

  it.each([
    ['sends a page too many', (): Uint8Array[] => Array.from({ length: 65 }, () => encodePage([]))],
    ['sends what is no page', () => [encodePlaces([])]],
    ['names places twice', undefined, Uint8Array.of(0x42, 1, 1)],
  ] as const)('%s is refused', async (_, pages?: () => Uint8Array[], places?: Uint8Array) => {
    const { node, frames } = await opened();
    await frames.write(encodeOpening({ knows: OWN_COVERAGE, root }), soon());
    await frames.read(soon());
    if (places !== undefined || pages !== undefined) await frames.write(places ?? encodePlaces([1]), soon());
    for (const page of pages?.() ?? []) await frames.write(page, soon());
    await frames.close(soon()).catch(() => undefined);
    await expect(frames.read(soon())).rejects.toThrow();
    expect(node.mycelium.frontiersShown(ONE)).toBe(0);
    expect(node.events).toContainEqual({ kind: 'pull-failed', peer: ONE, code: 'frontier-malformed' });
  });

  it('ends before it has named the places has shown nothing and done nothing wrong: it may have been killed', async () => {
    const { node, frames } = await opened();
    await frames.write(encodeOpening({ knows: OWN_COVERAGE, root }), soon());
    await frames.read(soon());
    await frames.close(soon()).catch(() => undefined);
    await expect(frames.read(soon())).rejects.toThrow();
    expect(node.mycelium.frontiersShown(ONE)).toBe(0);
    expect(node.events).toContainEqual({ kind: 'pull-failed', peer: ONE, code: 'stream-truncated' });
    expect(isSendersFault('stream-truncated')).toBe(false);
  });
});

it('over libp2p the newest version that both speak is spoken', async () => {
  const hosts = await Promise.all([bareHost(someIdentity(random)), bareHost(someIdentity(random))]);
  const [here, there] = hosts;
  const spoken: string[] = [];
  const exchangeOf = ({ libp2p }: Host, spoken: string[] = []) =>
    new FrontierProtocol(
      {
        env: systemEnv,
        libp2p: {
          handle: (protocol, handler, limits) =>
            libp2p.handle(
              protocol,
              (stream, connection) => {
                spoken.push(stream.protocol);
                return handler(stream, connection);
              },
              limits,
            ),
          unhandle: (protocol) => libp2p.unhandle(protocol),
          getConnections: () => libp2p.getConnections(),
        },
        access: { mayReplicate: () => true, mayHold: () => true },
        frontierFor: () => [],
        viewFor: async () => new FrontierView([]),
        onFrontier: async () => undefined,
        onFailure: () => undefined,
      },
      'test',
    );
  try {
    await exchangeOf(there, spoken).start();
    const asker = exchangeOf(here);
    const connection = await here.libp2p.dial(there.libp2p.getMultiaddrs());
    const ask = () => wholeFrontier(asker.ask(connection, AbortSignal.timeout(10_000)));
    expect(await ask()).toEqual({ groups: [], same: [], knows: OWN_COVERAGE });
    await there.libp2p.unhandle('/agrinet/test/frontier/2');
    expect(await ask()).toEqual({ groups: [], same: [], knows: OWN_COVERAGE });
    expect(spoken).toEqual(['/agrinet/test/frontier/2', '/agrinet/test/frontier/1']);
  } finally {
    await Promise.all(hosts.map((host) => host.stop()));
  }
});

it('places are spread evenly', () => {
  const counts = Array.from({ length: FRONTIER_PLACES }, () => 0);
  for (let i = 0; i < 25_600; i++) {
    const place = groupPlace({ author: ONE, channel: recordKey('contracts', ONE, String(i)) });
    counts[place] = (counts[place] ?? 0) + 1;
  }
  expect(Math.min(...counts)).toBeGreaterThan(50);
  expect(Math.max(...counts)).toBeLessThan(150);
});
