import { multiaddr } from '@multiformats/multiaddr';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { FetchedTable } from '../../storage/fetched-table.ts';
import { decodeChunk } from '../../protocols/checkpoint/chunk.ts';
import type { Checkpoint } from '../../protocols/feed/checkpoint.ts';
import { pause } from '../../protocols/env.ts';
import type { PullEvent } from '../../protocols/mycelium/pull-event.ts';
import { decodeSnapshotRequest, type SnapshotRequest } from '../../protocols/mycelium/snapshot-request.ts';
import { concat } from '../../protocols/wire/bytes.ts';
import { FramedStream } from '../../protocols/wire/framed-stream.ts';
import { systemEnv } from '../../daemon/system-env.ts';
import { bareHost } from '../support/bare-host.ts';
import { checkpointedNode } from '../support/checkpointed-node.ts';
import { randomFrom, someIdentity } from '../support/forge.ts';
import { befriend, registerHere, startNode, type TestNode } from '../support/in-process-node.ts';
import { tempDir } from '../support/temp-dir.ts';
import { nodeOf } from '../support/vectors/signatures.ts';
import { withoutItems } from '../support/served-snapshot.ts';
import { waitFor } from '../support/wait.ts';

/*
 * Two registered peers of a newcomer: one lies about a snapshot in every way that a stream has, the other is honest. Whatever the lie, the
 * newcomer ends with the snapshot that was signed, and what only a liar can send costs it its standing.
 */

const random = randomFrom(Number(process.env['SEED'] ?? 1));
const SNAPSHOT = '/agrinet/test/snapshot/1';
const LISTINGS = 200;
const never = new AbortController().signal;

/** The frames that an honest node gives. */
type Honest = (request: SnapshotRequest) => AsyncGenerator<Uint8Array>;
/** What the liar answers. */
type Answer = (frames: FramedStream, request: SnapshotRequest, honest: Honest) => Promise<void>;

async function give(frames: FramedStream, ...all: Uint8Array[]): Promise<void> {
  for (const frame of all) await frames.write(frame, never);
  await frames.close(never);
}
const honestly: Answer = async (frames, request, honest) =>
  give(frames, ...(await Array.fromAsync(honest(request))));
/** Lies about requests of one kind alone. */
const about =
  (kind: SnapshotRequest['kind'], lie: Answer): Answer =>
  (frames, request, honest) =>
    (request.kind === kind ? lie : honestly)(frames, request, honest);
const raw = (bytes: Uint8Array): Uint8Array => concat([Uint8Array.of(0), bytes]);

/** Only a liar sends these. */
const CAUGHT: Readonly<Record<string, Answer>> = {
  'hashes of something else': about('hashes', (frames) => give(frames, random.bytes(64))),
  'hashes without an end': about('hashes', async (frames) => {
    for (let i = 0; i < 10_000; i++) await frames.write(random.bytes(32 * 8192), never);
  }),
  'a part of a hash': about('hashes', (frames) => give(frames, random.bytes(33))),
  'a checkpoint that nobody signed': about('checkpoints', (frames) => give(frames, random.bytes(500))),
  'bytes that are no chunk': about('chunks', (frames) => give(frames, raw(random.bytes(1000)))),
  'a frame that is too long': about('chunks', (frames) =>
    give(frames, new Uint8Array(2 * 1024 * 1024)).catch(() => undefined),
  ),
  'a chunk twice': about('chunks', async (frames, request, honest) => {
    const [first = new Uint8Array()] = await Array.fromAsync(honest(request));
    await give(frames, first, first);
  }),
  'an unknown form': about('chunks', (frames) => give(frames, Uint8Array.of(7, 1, 2))),
};

/** An honest peer might, or the line is broken: they cost it nothing, and hold up nobody. */
const UNSEEN: Readonly<Record<string, Answer>> = {
  'that it has none': (frames) => give(frames, new Uint8Array(0)),
  'nothing, and ends': (frames) => give(frames),
  'half of it, and breaks off': about('chunks', async (frames, request, honest) => {
    const [first = new Uint8Array()] = await Array.fromAsync(honest(request));
    await frames.write(first, never);
    await pause(systemEnv, 100);
    frames.abort(new Error('broken'));
  }),
  'that much of it was erased': about('chunks', async (frames, request, honest) => {
    const all = await Array.fromAsync(honest({ ...request }));
    const chunks = await Promise.all(
      all.map(async (frame) => {
        const { decompress } = systemEnv.offload;
        const bytes =
          frame[0] === 0
            ? frame.subarray(1)
            : await decompress(frame.subarray(1), { maxBytes: 2 ** 21, windowLog: 21 });
        return raw(withoutItems(decodeChunk(new Uint8Array(bytes)), (i) => i % 3 === 1));
      }),
    );
    await give(frames, ...chunks);
  }),
};

const dirs = ['author', 'honest', 'newcomer'].map((name) => tempDir(`lying-${name}`));
let author: TestNode;
let honest: TestNode;
let checkpoint: Checkpoint;
beforeAll(async () => {
  const [a = '', b = ''] = dirs.map(({ path }) => path);
  author = await checkpointedNode(a, nodeOf(1), { listings: LISTINGS });
  honest = await startNode(b, {}, nodeOf(2));
  await befriend(author, honest);
  await honest.node.host.libp2p.dial(multiaddr(author.addresses[0] ?? ''));
  await waitFor('the honest node has the checkpoint', async () =>
    (await (await honest.request('GET', '/checkpoints')).text()).includes(nodeOf(1).peerId),
  );
  const found = await honest.snapshots.effective(nodeOf(1).peerId, never);
  if (found === undefined) throw new Error('no checkpoint was made');
  checkpoint = found;
});
afterAll(async () => {
  for (const each of [author, honest]) await each.stop();
  for (const dir of dirs) dir.remove();
});

/** What a newcomer ends with that asks a liar first, and whether that one lost its standing. */
async function whileLying(
  answer: Answer,
): Promise<{ listings: number; erased: number; distrusted: boolean }> {
  const dir = tempDir('lying-newcomer');
  const newcomer = await startNode(dir.path, {}, nodeOf(3));
  const identity = someIdentity(random);
  const liar = await bareHost(identity);
  const told: PullEvent[] = [];
  try {
    newcomer.node.hooks.pulled.on('test', (event) => told.push(event));
    await liar.libp2p.handle(SNAPSHOT, async (stream) => {
      const frames = new FramedStream(stream, { maxFrame: 4 * 1024 * 1024 });
      try {
        const request = decodeSnapshotRequest(await frames.readNext(never));
        await answer(frames, request, (of) => author.context.snapshots.frames('liar', of));
      } catch (error) {
        frames.abort(error);
      }
    });
    await registerHere(newcomer, identity.peerId);
    await newcomer.node.host.libp2p.dial(liar.libp2p.getMultiaddrs());
    await befriend(newcomer, honest);
    await newcomer.node.host.libp2p.dial(multiaddr(honest.addresses[0] ?? ''));
    // Both dial one another: while one connection takes the place of the other there is none for a moment.
    await waitFor('both to be asked', async () => {
      const { libp2p } = newcomer.node.host;
      const found = await newcomer.snapshots.effective(nodeOf(1).peerId, never).catch(() => undefined);
      return libp2p.getPeers().length === 2 && found?.id === checkpoint.id;
    });
    const snapshot = await newcomer.snapshots.fetch(checkpoint, never);
    const records = (await Array.fromAsync(snapshot.records())).flat();
    await new FetchedTable(newcomer.node.db).dropAll(nodeOf(1).peerId);
    return {
      listings: records.filter(({ key }) => key?.startsWith('listings/')).length,
      erased: snapshot.erased,
      distrusted: told.some((event) => event.kind === 'peer-distrusted' && event.peer === identity.peerId),
    };
  } finally {
    await Promise.allSettled([newcomer.stop(), liar.stop()]);
    dir.remove();
  }
}

test.each(Object.entries(CAUGHT))(
  'a holder that answers with %s is found out, and the snapshot is fetched from the other',
  async (_, answer) => {
    expect(await whileLying(answer)).toEqual({ listings: LISTINGS, erased: 0, distrusted: true });
  },
  60_000,
);

test.each(Object.entries(UNSEEN))(
  'a holder that answers with %s keeps its standing, and the snapshot comes whole',
  async (_, answer) => {
    expect(await whileLying(answer)).toEqual({ listings: LISTINGS, erased: 0, distrusted: false });
  },
  60_000,
);
