import { streamPair } from '@libp2p/utils';
import { describe, expect, it } from 'vitest';
import type { PeerConnection, StreamHandler } from '../../../protocols/wire/stream.ts';
import { systemEnv } from '../../../daemon/system-env.ts';
import { FRONTIER_LIMITS, FrontierProtocol } from '../../../protocols/mycelium/frontier-exchange.ts';
import type { FrontierGroup } from '../../../protocols/mycelium/frontier-page.ts';
import { encodeFrontier } from '../../support/frontier-pages.ts';
import { wholeFrontier } from '../../../protocols/mycelium/frontier-stream.ts';
import { encodeOpening, groupHash, groupPlace } from '../../../protocols/mycelium/frontier-digest.ts';
import { FramedStream } from '../../../protocols/wire/framed-stream.ts';
import { OWN_COVERAGE } from '../../../protocols/digest/coverage.ts';
import { errorCode } from '../../../protocols/errors.ts';
import { FrontierView } from '../../../protocols/mycelium/frontier-view.ts';
import { recordKey } from '../../../protocols/wire/ids.ts';
import { nodeOf } from '../../support/vectors/signatures.ts';

const author = nodeOf(1).peerId;
const soon = (): AbortSignal => AbortSignal.timeout(10_000);

function groupsOf(count: number): FrontierGroup[] {
  return Array.from({ length: count }, (_, i) => ({
    author,
    channel: recordKey('conversations', author, String(i)),
    digest: '',
    items: [{ epoch: '00'.repeat(8), seq: 1, hash: '11'.repeat(32) }],
  }));
}

function viewOf(groups: readonly FrontierGroup[]): FrontierView {
  return new FrontierView(
    groups.map((group) => ({ group, place: groupPlace(group), hash: groupHash(group), isWhole: true })),
  );
}

/** Two protocols of one version whose connection is a pair of streams; `asked` shows what each of them is told. */
async function twoNodes(
  version: string,
  groups: readonly FrontierGroup[],
  { registered = true, random = systemEnv.random }: { registered?: boolean; random?: () => number } = {},
) {
  const protocol = `/agrinet/test/${version}`;
  const handlers = new Map<string, StreamHandler>();
  const told: FrontierGroup[][] = [];
  const failures: unknown[] = [];
  const connection = (stream?: () => Promise<unknown>): PeerConnection =>
    ({ remotePeer: nodeOf(2).peerId, newStream: stream }) as never;
  const make = (mine: readonly FrontierGroup[]): FrontierProtocol =>
    new FrontierProtocol(
      {
        env: { ...systemEnv, random },
        libp2p: {
          handle: async (name, handler) => void handlers.set(name, handler),
          unhandle: async () => undefined,
          getConnections: () => [],
        },
        access: { mayReplicate: () => registered, mayHold: () => true },
        frontierFor: () => mine,
        viewFor: async () => viewOf(mine),
        onFrontier: async (_, shown) => void told.push([...shown.same, ...shown.groups]),
        onFailure: (_, error) => failures.push(error),
      },
      'test',
    );
  const asker = make([]);
  await make(groups).start();
  const dialled = connection(async () => {
    const [ours, theirs] = await streamPair();
    ours.protocol = protocol;
    void handlers.get(protocol)?.(theirs, connection());
    return ours;
  });
  const exchange = async (): Promise<void> => {
    const shown = await wholeFrontier(asker.ask(dialled, AbortSignal.timeout(10_000)));
    told.push([...shown.same, ...shown.groups]);
  };
  return { exchange, told, failures };
}

describe.each(['frontier/1', 'frontier/2'])('%s', (version) => {
  it('both sides are shown the frontier of the other', async () => {
    const groups = groupsOf(3);
    const { exchange, told } = await twoNodes(version, groups);
    await exchange();
    expect(told).toContainEqual(groups);
    expect(told).toContainEqual([]);
  });

  it('a frontier longer than one exchange is shown in parts from places of chance, and whole in the end', async () => {
    const groups = groupsOf(14_000);
    const pages = encodeFrontier(groups).length;
    expect(pages).toBeGreaterThan(FRONTIER_LIMITS.pages);
    // From the middle on, round the end; then from the start.
    const places = [0.5, 0];
    const { exchange, told, failures } = await twoNodes(version, groups, {
      random: () => places.shift() ?? 1,
    });
    await exchange();
    await exchange();
    expect(places, 'each exchange has drawn one').toEqual([]);
    const seen = new Set(told.flat().map(({ channel }) => channel));
    expect(failures).toEqual([]);
    expect(seen.size).toBe(groups.length);
  });

  it('every part of a long one shows the asker the feeds that hold its promises', async () => {
    const asker = nodeOf(2).peerId;
    const items = [{ epoch: '00'.repeat(8), seq: 1, hash: '11'.repeat(32) }];
    const contract = recordKey('contracts', author, 'promised');
    const own: FrontierGroup[] = [
      { author: asker, channel: 'public', digest: '', items },
      { author: asker, channel: contract, digest: '', items },
      { author, channel: contract, digest: '', items },
    ];
    const groups = groupsOf(14_000);
    const places = [0.9, 0.3, 0];
    const { exchange, told } = await twoNodes(version, [...groups, ...own], {
      random: () => places.shift() ?? 1,
    });
    for (let i = 0; i < 3; i++) await exchange();
    const parts = told.filter(({ length }) => length > 0);
    expect(parts).toHaveLength(3);
    for (const part of parts) expect(part).toEqual(expect.arrayContaining(own));
    expect(new Set(told.flat().map(({ channel }) => channel)).size).toBe(groups.length + 2);
  });

  it('a stranger is told nothing', async () => {
    const { exchange, told } = await twoNodes(version, groupsOf(3), { registered: false });
    await expect(exchange()).rejects.toThrow();
    expect(told).toEqual([]);
  });
});

describe.each(['frontier/1', 'frontier/2'])('%s with those who ask and say nothing', (version) => {
  it('they get one place at a time after the first, half of all together, and others are answered', async () => {
    const handlers = new Map<string, StreamHandler>();
    const failures = new Map<string, string[]>();
    let places = 0;
    const protocol = new FrontierProtocol(
      {
        env: { ...systemEnv, deadline: (ms) => systemEnv.deadline(ms / 25) },
        libp2p: {
          handle: async (name, handler) => void handlers.set(name, handler),
          unhandle: async () => undefined,
          getConnections: () => [],
        },
        access: { mayReplicate: () => true, mayHold: () => true },
        frontierFor: () => [],
        viewFor: async () => viewOf([]),
        onFrontier: async () => undefined,
        onFailure: (peer, error) => failures.set(peer, [...(failures.get(peer) ?? []), errorCode(error)]),
      },
      'test',
    );
    await protocol.start();
    /** Asks and says nothing, or what an equal says; whether there was a place. */
    const ask = async (peer: string, says: boolean): Promise<boolean> => {
      const [ours, theirs] = await streamPair();
      const handler = handlers.get(`/agrinet/test/${version}`);
      const told = handler?.(theirs, { remotePeer: { toString: () => peer } } as never);
      const frames = new FramedStream(ours, { maxFrame: 65_536 });
      if (says && version === 'frontier/2')
        await frames.write(encodeOpening({ knows: OWN_COVERAGE, root: viewOf([]).root }), soon());
      if (says) await frames.close(soon());
      const answered = await frames.read(soon()).then(
        () => true,
        () => false,
      );
      await told;
      if (failures.get(peer)?.at(-1) === 'answer-slow') places++;
      return answered;
    };
    const silent = Array.from({ length: FRONTIER_LIMITS.answering }, (_, i) => `silent-${i}`);
    await Promise.all(silent.map((peer) => ask(peer, false)));
    expect([places, await ask('honest', true)]).toEqual([FRONTIER_LIMITS.answering, true]);
    places = 0;
    failures.clear();
    const again = silent.flatMap((peer) => [ask(peer, false), ask(peer, false)]);
    expect(await ask('honest', true)).toBe(true);
    await Promise.all(again);
    expect([...failures.values()].flat()).toHaveLength(FRONTIER_LIMITS.answering / 2);
  });
});
