import { multiaddr } from '@multiformats/multiaddr';
import { expect, test } from 'vitest';
import { systemEnv } from '../../daemon/system-env.ts';
import { OWN_COVERAGE } from '../../protocols/digest/coverage.ts';
import { pause } from '../../protocols/env.ts';
import {
  encodeOpening,
  encodeOpeningAnswer,
  encodePlaces,
  FRONTIER_PLACES,
} from '../../protocols/mycelium/frontier-digest.ts';
import { FRONTIER_LIMITS } from '../../protocols/mycelium/frontier-exchange.ts';
import { encodePage, type FrontierGroup } from '../../protocols/mycelium/frontier-page.ts';
import type { PullEvent } from '../../protocols/mycelium/pull-event.ts';
import { FramedStream } from '../../protocols/wire/framed-stream.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import { recordKey } from '../../protocols/wire/ids.ts';
import { LIMITS } from '../../protocols/wire/limits.ts';
import { bareHost } from '../support/bare-host.ts';
import { randomFrom, someIdentity } from '../support/forge.ts';
import { befriend, registerHere, startNode, type TestNode } from '../support/in-process-node.ts';
import { tempDir } from '../support/temp-dir.ts';
import { waitFor } from '../support/wait.ts';

/*
 * A registered peer that lies in `frontier/2`, while a node that follows it learns of another that is honest: whatever the lie, the honest
 * one's records arrive, what only a liar can send costs it its standing, and nothing of the lie stays.
 */

const random = randomFrom(Number(process.env['SEED'] ?? 1));
const FRONTIER = '/agrinet/test/frontier/2';
const RECORDS = 50;
/** What an honest exchange and a pull of so little take, on a machine with other things to do. */
const SOON_MS = 10_000;

interface Scene {
  readonly self: PeerId;
  readonly node: PeerId;
  readonly honest: PeerId;
}
/** What the liar does with a stream of an asker, after it has read the opening. */
type Answer = (frames: FramedStream, scene: Scene, over: AbortSignal) => Promise<void>;
/** What it does with each stream of its own, made once. */
type Question = (scene: Scene) => (frames: FramedStream, over: AbortSignal) => Promise<void>;

const allPlaces = encodePlaces(Array.from({ length: FRONTIER_PLACES }, (_, i) => i));
const noSums = (): Uint8Array =>
  encodeOpeningAnswer({ knows: OWN_COVERAGE, digests: random.bytes(FRONTIER_PLACES * 16) });

/** Shows more of this author's feed than there is. */
const more = (author: PeerId, seq = LIMITS.feedEntries): FrontierGroup => ({
  author,
  channel: 'public',
  digest: random.hex(32),
  items: [{ epoch: random.hex(8), seq, hash: random.hex(32) }],
});
const foreign = ({ honest }: Scene): FrontierGroup => ({
  ...more(honest),
  channel: recordKey('conversations', honest, random.hex(8)),
  digest: '',
});

const write = async (frames: FramedStream, over: AbortSignal, ...all: Uint8Array[]): Promise<void> => {
  for (const frame of all) await frames.write(frame, over);
};
const pages = (count: number, group: (i: number) => FrontierGroup): Uint8Array[] =>
  Array.from({ length: count }, (_, page) =>
    encodePage(Array.from({ length: 300 }, (_each, i) => group(page * 300 + i))),
  );

/** Answers that only a liar gives: each costs it its standing. */
const CAUGHT: Readonly<Record<string, Answer>> = {
  'sums of a wrong number of places': (frames, _, over) =>
    write(frames, over, encodeOpeningAnswer({ knows: OWN_COVERAGE, digests: random.bytes(255 * 16) })),
  'pages that never end': async (frames, scene, over) => {
    await write(frames, over, noSums());
    for (let i = 0; i < 10_000; i++) await write(frames, over, encodePage([foreign(scene)]));
  },
  'one page again and again': async (frames, { honest }, over) => {
    await write(frames, over, noSums());
    const page = encodePage([more(honest)]);
    await write(frames, over, ...Array.from({ length: FRONTIER_LIMITS.pages }, () => page));
    await frames.close(over);
  },
  'one epoch in very many groups': async (frames, { node }, over) => {
    await write(frames, over, noSums());
    const group = more(node);
    await write(frames, over, ...pages(FRONTIER_LIMITS.pages, () => group));
    await frames.close(over);
  },
  'places where a page belongs': async (frames, _, over) => {
    await write(frames, over, noSums(), allPlaces);
    await frames.close(over);
  },
  'what is no page': async (frames, _, over) => {
    await write(frames, over, noSums(), random.bytes(60_000));
    await frames.close(over);
  },
};

/** Answers that an honest peer might give, or a broken line: they cost so many pulls and no more. */
const UNSEEN: Readonly<Record<string, Answer>> = {
  'that it holds the same': async (frames, _, over) => {
    await write(frames, over, encodeOpeningAnswer({ knows: OWN_COVERAGE, digests: undefined }));
    await frames.close(over);
  },
  'wrong sums, and then nothing': async (frames, _, over) => {
    await write(frames, over, noSums());
    await frames.close(over);
  },
  'more than there is of every feed': async (frames, scene, over) => {
    await write(frames, over, noSums(), encodePage([more(scene.node), more(scene.honest), more(scene.self)]));
    await frames.close(over);
  },
  'ten thousand feeds that nobody has': async (frames, scene, over) => {
    await write(frames, over, noSums(), ...pages(33, () => foreign(scene)));
    await frames.close(over);
  },
  'nothing at all': (_frames, _, over) => ended(over),
  'half a frame': async (frames, _, over) => {
    await write(frames, over, noSums().subarray(0, 100)).catch(() => undefined);
    await ended(over);
  },
  'a page now and then': async (frames, scene, over) => {
    await write(frames, over, noSums());
    for (;;) {
      await write(frames, over, encodePage([foreign(scene)]));
      await pause(systemEnv, 1000, over);
      if (over.aborted) return;
    }
  },
};

/** What a liar asks, over and over, as fast as it is let. */
const ASKS: Readonly<Record<string, Question>> = {
  'everything, with a wrong sum': () => async (frames, over) => {
    await write(frames, over, encodeOpening({ knows: OWN_COVERAGE, root: random.bytes(32) }), allPlaces);
    await frames.close(over);
    while ((await frames.read(over)) !== null);
  },
  'everything, and shows ten thousand feeds that nobody has': (scene) => {
    const shown = pages(33, () => foreign(scene));
    return async (frames, over) => {
      await write(frames, over, encodeOpening({ knows: OWN_COVERAGE, root: random.bytes(32) }), allPlaces);
      await write(frames, over, ...shown);
      await frames.close(over);
      while ((await frames.read(over)) !== null);
    };
  },
  'nothing more': () => async (frames, over) => {
    await write(frames, over, encodeOpening({ knows: OWN_COVERAGE, root: random.bytes(32) }));
    await ended(over);
  },
};

const ended = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));

interface Lie {
  readonly answer?: Answer;
  readonly ask?: Question;
}

/** How long the records of an honest node took to arrive while a liar was at work, and what became of it. */
async function whileLying({ answer = UNSEEN['that it holds the same'], ask }: Lie) {
  const dirs = [tempDir('follower'), tempDir('honest')];
  const nodes: TestNode[] = [];
  const identity = someIdentity(random);
  const liar = await bareHost(identity);
  const over = new AbortController();
  const told: PullEvent[] = [];
  let asked = 0;
  try {
    for (const { path } of dirs) nodes.push(await startNode(path));
    const [follower, honest] = nodes as [TestNode, TestNode];
    for (let i = 0; i < RECORDS; i++)
      await honest.request('POST', '/listings', { type: 'offer', title: `l${i}` });
    const [self, node] = [identity.peerId, follower.node.identity.peerId];
    const scene: Scene = { self, node, honest: honest.node.identity.peerId };
    await liar.libp2p.handle(FRONTIER, async (stream) => {
      asked++;
      const frames = new FramedStream(stream, { maxFrame: 65_536 });
      await frames
        .read(over.signal)
        .then(() => answer?.(frames, scene, over.signal))
        .catch((error: unknown) => frames.abort(error instanceof Error ? error : new Error('ended')));
    });
    follower.node.hooks.pulled.on('test', (event) => told.push(event));
    await registerHere(follower, self);
    await registerHere(follower, scene.honest);
    const [address = ''] = follower.addresses;
    const connection = await liar.libp2p.dial(multiaddr(address));
    await waitFor('the liar to be asked', () => asked > 0, SOON_MS);
    const question = ask?.(scene);
    const asking = Array.from({ length: question === undefined ? 0 : FRONTIER_LIMITS.streams }, async () => {
      while (!over.signal.aborted && connection.status === 'open')
        try {
          asked++;
          const stream = await connection.newStream(FRONTIER, { signal: over.signal });
          await question?.(new FramedStream(stream, { maxFrame: 65_536 }), over.signal);
        } catch {
          await pause(systemEnv, 10, over.signal); // refused: at once again
        }
    });
    const began = performance.now();
    await befriend(follower, honest);
    await waitFor(
      'the records of the honest node',
      async () => (await follower.digest()) === (await honest.digest()),
      SOON_MS,
    );
    const tookMs = performance.now() - began;
    await honest.request('POST', '/listings', { type: 'offer', title: 'one more' });
    await waitFor('one more', async () => (await follower.digest()) === (await honest.digest()), SOON_MS);
    const ofLiar = told.filter((event) => event.peer === self);
    const distrusted = ofLiar.some(({ kind }) => kind === 'peer-distrusted');
    over.abort();
    await Promise.all(asking);
    await liar.stop();
    await waitFor('nothing to be wanted', () => follower.node.mycelium.pending === 0, SOON_MS);
    return { tookMs, asked, distrusted };
  } finally {
    over.abort();
    await Promise.allSettled([...nodes.map((each) => each.stop()), liar.stop()]);
    for (const dir of dirs) dir.remove();
  }
}

test.each(Object.entries(CAUGHT))(
  'a peer that answers with %s is found out, and the others go on',
  async (_, answer) => {
    const { tookMs, asked, distrusted } = await whileLying({ answer });
    console.info(`${Math.round(tookMs)} ms; the liar was asked ${asked} times`);
    expect(distrusted).toBe(true);
    expect(asked).toBeLessThanOrEqual(3);
  },
  60_000,
);

test.each(Object.entries(UNSEEN))(
  'a peer that answers with %s holds up nobody',
  async (_, answer) => {
    const { tookMs, asked } = await whileLying({ answer });
    console.info(`${Math.round(tookMs)} ms; the liar was asked ${asked} times`);
    expect(tookMs).toBeLessThan(SOON_MS);
  },
  60_000,
);

test.each(Object.entries(ASKS))(
  'a peer that asks for %s holds up nobody',
  async (_, ask) => {
    const { tookMs, asked } = await whileLying({ ask });
    console.info(`${Math.round(tookMs)} ms; ${asked} streams`);
    expect(tookMs).toBeLessThan(SOON_MS);
  },
  60_000,
);
