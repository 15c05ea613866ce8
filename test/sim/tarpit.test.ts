import { expect, test } from 'vitest';
import { systemEnv } from '../../daemon/system-env.ts';
import { pause } from '../../protocols/env.ts';
import { FramedStream } from '../../protocols/wire/framed-stream.ts';
import { concat } from '../../protocols/wire/bytes.ts';
import { SLICE_LIMITS } from '../../protocols/mycelium/pull.ts';
import { encodeItem } from '../../protocols/mycelium/range-item.ts';
import { FRAME_LIMITS } from '../../protocols/mycelium/range-frame.ts';
import { RANGE_LIMITS } from '../../protocols/mycelium/range.ts';
import { befriend, startNode, type TestNode } from '../support/in-process-node.ts';
import { tempDir } from '../support/temp-dir.ts';
import { waitFor } from '../support/wait.ts';

/** What a registered peer does instead of answering a range request, until the test is over. */
type Tarpit = (
  write: (frame: Uint8Array) => Promise<void>,
  firstEntry: Uint8Array,
  over: AbortSignal,
) => Promise<void>;

const RECORDS = 50;

async function joinBehind(tarpit: Tarpit, ms: number): Promise<number> {
  const dirs = ['holder', 'tarpit', 'joiner'].map((name) => tempDir(name));
  const nodes: TestNode[] = [];
  const over = new AbortController();
  let asked = 0;
  try {
    const start = async (i: number): Promise<TestNode> => {
      const node = await startNode(dirs[i]?.path ?? '');
      nodes.push(node);
      return node;
    };
    const [holder, mud, joiner] = [await start(0), await start(1), await start(2)];
    // One after the other, so that the feed has many entries.
    for (let i = 0; i < RECORDS; i++)
      await holder.request('POST', '/listings', { type: 'offer', title: `l${i}` });
    await befriend(holder, mud);
    await waitFor(
      'the tarpit to hold everything',
      async () => (await holder.digest()) === (await mud.digest()),
      20_000,
    );
    const { libp2p } = mud.node.host;
    const feed = mud.node.store.feeds(holder.node.identity.peerId, 'public')[0];
    const entry = feed && (await mud.node.store.entryBytes(feed.no, 1));
    if (entry === undefined) throw new Error('the tarpit holds nothing');
    const protocol = '/agrinet/test/range/1';
    await libp2p.unhandle(protocol);
    await libp2p.handle(protocol, async (stream) => {
      asked++;
      const frames = new FramedStream(stream, { maxFrame: FRAME_LIMITS.frameBytes });
      await tarpit((frame) => frames.write(frame, over.signal), entry, over.signal).catch((error: unknown) =>
        frames.abort(error instanceof Error ? error : new Error('ended')),
      );
    });
    await befriend(joiner, mud);
    // It follows the holder but cannot reach it yet: so the first pull goes to the tarpit.
    await follow(joiner, holder);
    await waitFor(
      'the joiner to ask the tarpit',
      async () => {
        await joiner.node.mycelium.syncNow();
        return asked > 0;
      },
      20_000,
    );
    const began = performance.now();
    await befriend(joiner, holder);
    await waitFor(
      'the joiner to have everything',
      async () => (await joiner.digest()) === (await holder.digest()),
      ms,
    );
    return performance.now() - began;
  } finally {
    over.abort();
    await Promise.allSettled(nodes.map((node) => node.stop()));
    for (const dir of dirs) dir.remove();
  }
}

async function follow(one: TestNode, other: TestNode): Promise<void> {
  await one.node.registry.register(
    {
      caller: other.node.identity.peerId,
      nodeUrl: '',
      region: '',
      name: '',
      multiaddrs: [],
      schemaVersion: 1,
      tlsFingerprint: '',
    },
    undefined,
    Date.now(),
  );
}

const ended = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));

test.concurrent('a peer that never answers a range request holds up nobody for longer than a pull may be idle', async () => {
  const took = await joinBehind((_write, _entry, over) => ended(over), 20_000);
  console.info(`converged ${Math.round(took)} ms after the other holder was known`);
  expect(took).toBeLessThan(RANGE_LIMITS.idleMs + 4000);
}, 90_000);

test.concurrent('a peer that trickles what is known already gives way to another holder', async () => {
  const took = await joinBehind(async (write, entry, over) => {
    const frame = concat([Uint8Array.of(0), encodeItem({ kind: 'entry', bytes: entry })]);
    while (!over.aborted) {
      await write(frame);
      await pause(systemEnv, 1000, over);
    }
  }, 40_000);
  console.info(`converged ${Math.round(took)} ms after the other holder was known`);
  expect(took).toBeLessThan(SLICE_LIMITS.sliceMs + 5000);
}, 120_000);
