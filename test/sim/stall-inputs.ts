import { setTimeout as sleep } from 'node:timers/promises';
import { zstdCompressSync } from 'node:zlib';
import { systemEnv } from '../../daemon/system-env.ts';
import type { Entry } from '../../protocols/feed/entry.ts';
import { HEX_DIGITS, PREFIX_LIMITS } from '../../protocols/digest/prefix.ts';
import { makeForkProof } from '../../protocols/feed/fork.ts';
import { encodeOp } from '../../protocols/feed/op.ts';
import { draftFact, type Patch } from '../../protocols/ledger/drafts.ts';
import { encodeFrontier } from '../support/frontier-pages.ts';
import { encodeMessage } from '../../protocols/mycelium/message.ts';
import { encodeRangeRequest } from '../../protocols/mycelium/range.ts';
import { framesOf } from '../../protocols/mycelium/range-frame.ts';
import { COLLECTIONS, type Collection } from '../../protocols/open-dialog/schema.ts';
import { concat } from '../../protocols/wire/bytes.ts';
import { type Cbor, encodeCbor } from '../../protocols/wire/cbor.ts';
import { ChangeHand } from '../support/change-hand.ts';
import type { Member } from '../support/federation.ts';
import { Hand, priceOps, type Random, someIdentity } from '../support/forge.ts';
import { HostilePeer, type ShownFeed } from '../support/hostile-peer.ts';
import { startLegacyNode } from '../support/legacy-node.ts';
import { serve } from '../support/loopback-server.ts';
import { waitFor } from '../support/wait.ts';

/** One victim, and what decides everything random. */
export interface Scene {
  readonly victim: Member;
  readonly random: Random;
}

/** Something that somebody can send. `share` from 0 to 1: 1 is as large as any limit lets it be. */
export interface StallInput {
  readonly name: string;
  send(scene: Scene, share: number): Promise<void>;
}

const many = (most: number, share: number): number => Math.max(1, Math.round(most * share));

/** Entries of a registered peer, that the victim pulls. */
function pulled(
  name: string,
  make: (hand: Hand, random: Random, share: number) => readonly Entry[],
): StallInput {
  return {
    name: `entries: ${name}`,
    send: (scene, share) => pull(scene, (hand, random) => make(hand, random, share)),
  };
}

/** A peer that is registered signs entries, and the victim pulls them; then whatever follows from it, which is told whether it holds them. */
async function pull(
  { victim, random }: Scene,
  make: (hand: Hand, random: Random) => readonly Entry[],
  then: (peer: HostilePeer, isHeld: boolean, entries: readonly Entry[]) => Promise<void> = async () =>
    undefined,
): Promise<void> {
  const peer = await HostilePeer.start(random, victim);
  try {
    await peer.register(random);
    const entries = make(peer.hand, random);
    const items = entries.map(({ bytes }) => ({ kind: 'entry' as const, bytes }));
    await peer.serve('range', () => framesOf(streamOf(items), systemEnv.offload));
    const newest = new Map(
      entries.map(({ header: { channel, epoch, seq }, hash }) => [epoch, { channel, epoch, seq, hash }]),
    );
    await peer.show([...newest.values()]);
    await then(peer, await heldUpTo(victim, peer.hand.identity.peerId, [...newest.values()]), entries);
  } finally {
    await peer.stop();
  }
}

async function* streamOf<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items;
}

/** Waits until the victim holds these feeds, for at most half a minute: what it refuses it never holds. Whether it does. */
async function heldUpTo(victim: Member, author: string, newest: readonly ShownFeed[]): Promise<boolean> {
  for (const end = performance.now() + 30_000; performance.now() < end; await sleep(200)) {
    const { feeds } = await victim.json<{
      feeds: { author: string; items: { epoch: string; seq: number }[] }[];
    }>('GET', '/federation/feeds');
    const items = feeds.find((each) => each.author === author)?.items ?? [];
    if (newest.every((one) => items.some(({ epoch, seq }) => epoch === one.epoch && seq >= one.seq)))
      return true;
  }
  return false;
}

/** The longest value that each field of a collection takes. */
function largest(collection: Collection, bytes: number): Patch {
  const patch: Record<string, string | number | boolean> = {};
  let left = bytes;
  for (const [field, rule] of Object.entries(collection.fields)) {
    if (rule.type === 'number') patch[field] = rule.max ?? Number.MAX_SAFE_INTEGER;
    else if (rule.type === 'boolean') patch[field] = true;
    else if (rule.oneOf !== undefined) patch[field] = rule.oneOf[0] ?? '';
    else if (rule.pattern === undefined) {
      const length = Math.max(0, Math.min(rule.max, left));
      patch[field] = 'x'.repeat(length);
      left -= length;
    }
  }
  return patch;
}

function collection(name: string): Collection {
  const found = COLLECTIONS[name];
  if (found === undefined) throw new TypeError(name);
  return found;
}

const ENTRIES: readonly StallInput[] = [
  pulled('1,024 changes of one record', (hand, _random, share) => {
    const record = new ChangeHand(hand.pen, 'listings', 'a');
    const text = 'x'.repeat(700);
    return [
      hand.next(
        Array.from({ length: many(1024, share) }, () =>
          record.set({ type: 'offer', status: 'active', description: text }),
        ),
      ),
    ];
  }),
  pulled('1,024 new records', (hand, random, share) => [
    hand.next(
      Array.from({ length: many(1024, share) }, () =>
        new ChangeHand(hand.pen, 'listings', random.hex(8)).set({
          type: 'offer',
          status: 'active',
          title: 'x'.repeat(256),
          notes: 'x'.repeat(400),
        }),
      ),
    ),
  ]),
  pulled('records with every field full', (hand, random, share) =>
    Array.from({ length: many(16, share) }, () =>
      hand.next(
        Array.from({ length: 16 }, () => {
          const fields = largest(collection('listings'), 50_000);
          return new ChangeHand(hand.pen, 'listings', random.hex(8)).set(defined(fields));
        }),
      ),
    ),
  ),
  pulled('20,000 small entries', (hand, _random, share) =>
    Array.from({ length: many(20_000, share) }, (_, i) => hand.next(priceOps(hand.pen, `M${i}`, i))),
  ),
  pulled('trend snapshots with full bodies', (hand, _random, share) =>
    Array.from({ length: many(60, share) }, (_, i) =>
      hand.next(
        draftFact(hand.pen, 'trends', {
          region: 'R',
          inputs: '0'.repeat(64),
          body: `[${'[],'.repeat(20_000)}${i}]`,
          publishedAt: i,
        }).ops,
      ),
    ),
  ),
  pulled('ratings with receipts that are none', (hand, _random, share) =>
    Array.from({ length: many(400, share) }, (_, i) =>
      hand.next(
        Array.from({ length: 30 }, (_each, j) => {
          const user = `u${i}-${j}@${hand.identity.peerId}`;
          const receipt = `${'A'.repeat(12_000)}.${'B'.repeat(12_000)}`;
          return draftFact(hand.pen, 'ratings', {
            from: user,
            to: `v@${hand.identity.peerId}`,
            score: 1,
            receipt,
            ratedAt: 1,
          }).ops;
        }).flat(),
      ),
    ),
  ),
  pulled('ops of unknown collections', (hand, random, share) =>
    Array.from({ length: many(200, share) }, () =>
      hand.next(
        Array.from({ length: 15 }, () => encodeOp({ v: 1, c: 'zzz', k: '', t: 'fact', d: random.bytes(64) })),
      ),
    ),
  ),
  pulled('times that no date can hold', (hand, random, share) => {
    const entries: Entry[] = [];
    for (let i = 0; i < many(50, share); i++) {
      const record = new ChangeHand(hand.pen, 'listings', random.hex(8));
      const entry = hand.sign([record.set({ type: 'offer', status: 'active', title: 'x' })], {
        time: [2 ** 53 - 1, 2 ** 32 - 1],
      });
      hand.seq = entry.header.seq;
      hand.hash = entry.hash;
      entries.push(entry);
    }
    return entries;
  }),
];

/** A frame of a range that is not what it should be. */
function frame(name: string, make: (random: Random, share: number) => Uint8Array): StallInput {
  return {
    name: `range frame: ${name}`,
    async send({ victim, random }, share) {
      const peer = await HostilePeer.start(random, victim);
      try {
        await peer.register(random);
        const bytes = make(random, share);
        let asked = 0;
        await peer.serve('range', () => (asked++, [bytes]));
        for (let i = 0; i < 3; i++)
          await peer.show([{ channel: 'public', epoch: random.hex(8), seq: 5, hash: random.hex(32) }]);
        await waitFor('the range to be asked for', () => asked > 0, 10_000);
      } finally {
        await peer.stop();
      }
    },
  };
}

const ZSTD = Uint8Array.of(1);
const packed = (bytes: Uint8Array): Uint8Array => concat([ZSTD, new Uint8Array(zstdCompressSync(bytes))]);
const nothing = encodeCbor([0, new Uint8Array(0)]);

const FRAMES: readonly StallInput[] = [
  frame('500,000 empty items', (_random, share) =>
    packed(concat(Array.from({ length: many(300_000, share) }, () => nothing))),
  ),
  frame('one list of 500,000 empty items', (_random, share) =>
    packed(encodeCbor(Array.from({ length: many(500_000, share) }, (): Cbor => [0, new Uint8Array(0)]))),
  ),
  frame('32 MB of zeros', (_random, share) => packed(new Uint8Array(many(32 * 1024 * 1024, share)))),
  frame('lists in lists', (_random, share) => packed(new Uint8Array(many(1_000_000, share)).fill(0x81))),
  frame('noise', (random, share) => concat([ZSTD, random.bytes(many(200_000, share))])),
  frame('raw noise', (random, share) => concat([Uint8Array.of(0), random.bytes(many(200_000, share))])),
];

/** Frames thrown at the victim's own streams, by a registered peer and by a stranger. */
function thrown(
  name: string,
  protocol: 'frontier' | 'range' | 'announce' | 'peers',
  make: (random: Random, share: number, hand: Hand) => Uint8Array[],
): StallInput[] {
  return (['registered', 'stranger'] as const).map((who) => ({
    name: `${protocol} of a ${who === 'stranger' ? 'stranger' : 'registered peer'}: ${name}`,
    async send({ victim, random }, share) {
      const peer = await HostilePeer.start(random, victim);
      try {
        if (who === 'registered') await peer.register(random);
        const frames = make(random, share, peer.hand);
        await Promise.all(Array.from({ length: 4 }, () => peer.throwFrames(protocol, frames)));
      } finally {
        await peer.stop();
      }
    },
  }));
}

function groups(random: Random, count: number): Parameters<typeof encodeFrontier>[0] {
  return Array.from({ length: count }, () => ({
    author: someIdentity(random).peerId,
    channel: 'public' as const,
    digest: random.hex(32),
    items: [{ epoch: random.hex(8), seq: 2 ** 31, hash: random.hex(32) }],
  }));
}

const STREAMS: readonly StallInput[] = [
  ...thrown('10,000 authors', 'frontier', (random, share) =>
    encodeFrontier(groups(random, many(10_000, share))),
  ),
  ...thrown('one feed in as many groups as fit', 'frontier', (_random, share, hand) => {
    const group = { author: hand.identity.peerId, channel: 'public', digest: '', items: [] } as const;
    return encodeFrontier(Array.from({ length: many(50_000, share) }, () => group));
  }),
  ...thrown('pages of noise', 'frontier', (random, share) =>
    Array.from({ length: 64 }, () => random.bytes(many(60_000, share))),
  ),
  ...thrown('pages of small values', 'frontier', (_random, share) =>
    Array.from({ length: 64 }, () => encodeCbor(Array.from({ length: many(60_000, share) }, () => 0))),
  ),
  ...thrown('a request with 5,000 epochs', 'range', (random, share, hand) => [
    encodeRangeRequest({
      author: hand.identity.peerId,
      channel: 'public',
      have: Array.from({ length: many(5000, share) }, () => ({
        epoch: random.hex(8),
        seq: 3,
        hash: random.hex(32),
      })),
    }),
  ]),
  ...thrown('noise', 'range', (random, share) => [random.bytes(many(500_000, share))]),
  ...thrown('noise', 'announce', (random) => [random.bytes(1024)]),
  ...thrown('noise', 'peers', (random) => [random.bytes(16)]),
];

const GOSSIP: readonly StallInput[] = [
  {
    name: 'gossip: messages of every kind, as large as they may be',
    async send({ victim, random }, share) {
      const peer = await HostilePeer.start(random, victim);
      try {
        await peer.register(random);
        const { hand } = peer;
        for (let i = 0; i < many(400, share); i++) {
          const entry = hand.next(priceOps(hand.pen, 'x'.repeat(200), i));
          await peer.gossip(encodeMessage({ kind: 'entry', bytes: entry.bytes }));
          await peer.gossip(
            encodeMessage({
              kind: 'announcement',
              announcement: {
                author: hand.identity.peerId,
                channel: 'public',
                epoch: random.hex(8),
                seq: 9,
                hash: random.hex(32),
              },
            }),
          );
          await peer.gossip(random.bytes(60_000));
        }
      } finally {
        await peer.stop();
      }
    },
  },
  {
    name: 'gossip: proofs of ever lower forks',
    send: (scene, share) =>
      pull(
        scene,
        (hand) =>
          Array.from({ length: many(200, share) }, (_, i) => hand.next(priceOps(hand.pen, 'fork', i))),
        async (peer, isHeld, entries) => {
          if (!isHeld) throw new Error('the victim did not take what is to be forked');
          const { hand } = peer;
          for (const held of entries.toReversed()) {
            const { seq, prev } = held.header;
            const other = hand.sign(priceOps(hand.pen, 'other', seq), { seq, prev });
            await peer.gossip(encodeMessage({ kind: 'proof', bytes: makeForkProof(held, other).bytes }));
          }
        },
      ),
  },
];

/** What a registered peer has signed, and what anybody asks of it then: questions that go through all of it, many at a time. */
function askedAbout(
  name: string,
  make: (hand: Hand, random: Random, share: number) => readonly Entry[],
  paths: (author: string) => readonly string[],
): StallInput {
  return {
    name: `questions: ${name}`,
    send: (scene, share) =>
      pull(
        scene,
        (hand, random) => make(hand, random, share),
        async ({ hand }, isHeld) => {
          if (!isHeld) throw new Error('the victim did not take what it is to be asked about');
          const left = [...paths(hand.identity.peerId)];
          while (left.length > 0)
            // As many as may wait for one tree: one more would be refused.
            await Promise.all(
              left.splice(0, PREFIX_LIMITS.waiting).map(async (path) => {
                const answer = await fetch(scene.victim.url + path);
                const text = await answer.text();
                if (!answer.ok) throw new Error(`${path}: ${answer.status} ${text}`);
              }),
            );
        },
      ),
  };
}

const QUESTIONS: readonly StallInput[] = [
  askedAbout(
    'the digest tree of 40,000 records',
    (hand, _random, share) =>
      Array.from({ length: many(400, share) }, (_, i) =>
        hand.next(
          Array.from({ length: 100 }, (_each, j) =>
            new ChangeHand(hand.pen, 'listings', `${i}-${j}`).set({
              type: 'offer',
              status: 'active',
              title: 'x',
            }),
          ),
        ),
      ),
    (author) => ['', ...HEX_DIGITS].map((prefix) => `/federation/digest/${author}/listings?prefix=${prefix}`),
  ),
];

/** Requests over HTTP by somebody who holds a key. */
function asked(name: string, send: (ask: Ask, share: number, scene: Scene) => Promise<void>): StallInput {
  return {
    name: `HTTP: ${name}`,
    async send(scene, share) {
      const { key } = await scene.victim.json<{ key: string }>('POST', '/api/keys', {
        userId: `u${scene.random.hex(4)}`,
        scopes: ['read', 'write'],
      });
      const ask: Ask = async (method, path, body, type = 'application/json') => {
        const answer = await fetch(scene.victim.url + path, {
          method,
          headers: { 'x-api-key': key, ...(body === undefined ? {} : { 'content-type': type }) },
          ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
          signal: AbortSignal.timeout(60_000),
        });
        return { status: answer.status, text: await answer.text() };
      };
      await send(ask, share, scene);
    },
  };
}
type Ask = (
  method: string,
  path: string,
  body?: unknown,
  type?: string,
) => Promise<{ status: number; text: string }>;

/** So many at a time, as a client with a pool of connections has them. */
async function inTens(count: number, work: (i: number) => Promise<unknown>): Promise<void> {
  for (let at = 0; at < count; at += 10)
    await Promise.all(Array.from({ length: Math.min(10, count - at) }, (_, i) => work(at + i)));
}

const REQUESTS: readonly StallInput[] = [
  asked('listings with every field full', (ask, share) =>
    inTens(many(100, share), (i) =>
      ask('PUT', `/listings/full${i}`, {
        type: 'offer',
        status: 'active',
        title: 'x'.repeat(256),
        description: 'x'.repeat(8000),
        notes: 'x'.repeat(8000),
        tags: ['x'.repeat(7000)],
        images: ['x'.repeat(7000)],
      }),
    ),
  ),
  asked('clauses upon clauses of one open request', async (ask, share) => {
    const made = await ask('POST', '/contracts', { supplierId: 'eve', title: 'x' });
    const { contractId } = JSON.parse(made.text) as { contractId?: string };
    await inTens(many(100, share), (i) =>
      ask('PATCH', `/contracts/${contractId}`, {
        terms: Object.fromEntries(Array.from({ length: 30 }, (_, j) => [`t${j}`, `${i} ${'x'.repeat(900)}`])),
      }),
    );
  }),
  asked('10,000 prices in one body', async (ask, share) => {
    const rows = Array.from({ length: many(10_000, share) }, (_, i) =>
      JSON.stringify({
        date: '2026-01-01',
        market: `M${i}`,
        commodity: 'Maize',
        unit: 'kg',
        currency: 'KES',
        priceType: 'Retail',
        price: i + 1,
      }),
    );
    await ask('POST', '/prices', rows.join('\n'), 'application/x-ndjson');
  }),
  asked('bodies that are no JSON, deep or long', async (ask, share) => {
    const size = many(900_000, share);
    for (const body of [
      '['.repeat(size),
      '"'.padEnd(size, 'x'),
      `{${'"a":1,'.repeat(size / 6)}`,
      '1'.repeat(size),
      'x'.repeat(size),
    ])
      await ask('POST', '/listings', body);
  }),
  asked('every list, filtered', async (ask) => {
    for (const path of [
      '/listings?limit=200',
      '/listings?geoLat_=-0.1&geoLong_=34.7&radiusKm=20000&limit=200',
      '/listings?keyword=x&minPrice=0&maxPrice=9',
      '/listings?type=offer&status=none',
      '/prices?limit=200',
      '/contracts?limit=200',
      '/trends',
      '/trends?region=none',
      '/trends/top-rated?limit=100',
      '/trends/market-volume',
      '/trends/listing-trends',
      '/trends/ping-response',
      '/trends/ai/insight',
      '/trends/snapshots?limit=50',
      '/federation/status',
      '/federation/nodes',
      '/federation/digest',
      '/federation/feeds',
      '/federation/export',
      '/conflicts',
      '/metrics',
      '/openapi.json',
      '/',
    ])
      await ask('GET', path);
  }),
];

/** Reads events from the beginning until it has had so many of them. Throws when they do not come within half a minute. */
async function readEvents(victim: Member, count: number): Promise<void> {
  const headers = { 'last-event-id': '0' };
  const answer = await fetch(`${victim.url}/events`, { headers, signal: AbortSignal.timeout(30_000) });
  if (answer.status !== 200 || answer.body === null) throw new Error(`/events: ${answer.status}`);
  let [had, rest] = [0, ''];
  for await (const text of answer.body.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    had += lines.filter((line) => line.startsWith('id: ')).length;
    if (had >= count) return;
  }
  throw new Error(`the stream of events ended after ${had} of ${count}`);
}

const EVENTS: readonly StallInput[] = [
  {
    name: 'events: twenty streams from the beginning at once, of 2,000 conflicts',
    async send(scene, share) {
      const count = many(2000, share);
      await pull(
        scene,
        (hand, random) => {
          // Two lives of one author create the same records, neither knowing of the other: each title is in conflict.
          const other = new Hand(hand.identity, random.hex(8));
          return [hand, other].flatMap((life, i) =>
            Array.from({ length: Math.ceil(count / 100) }, (_, page) =>
              life.next(
                Array.from({ length: Math.min(100, count - page * 100) }, (_each, n) =>
                  new ChangeHand(life.pen, 'listings', `told${page}-${n}`).set({
                    type: 'offer',
                    status: 'active',
                    title: `life ${i}`,
                  }),
                ),
              ),
            ),
          );
        },
        async (_, isHeld) => {
          if (!isHeld) throw new Error('the victim did not take what makes the events');
          await Promise.all(Array.from({ length: 20 }, () => readEvents(scene.victim, count)));
        },
      );
    },
  },
];

const LEGACY: readonly StallInput[] = [
  {
    name: 'legacy source: 20,000 listings',
    async send({ victim }, share) {
      const source = await startLegacyNode(many(20_000, share));
      try {
        await pullFrom(victim, source.origin);
      } finally {
        await source.stop();
      }
    },
  },
  ...(
    [
      ['a body of the tiniest values', (n: number) => `{"listings":[${'0,'.repeat(n)}0]}`, 3_000_000],
      ['lists in lists', (n: number) => `{"listings":[{"id":"a","x":${'['.repeat(n)}`, 1_000_000],
      [
        'one text',
        (n: number) =>
          `{"listings":[{"id":"a","updatedAt":"2026-01-01T00:00:00Z","title":"${'x'.repeat(n)}"}]}`,
        8_000_000,
      ],
      [
        'one object with very many names',
        (n: number) => `{"listings":[{"id":"a",${Array.from({ length: n }, (_, i) => `"k${i}":1`).join()}}]}`,
        300_000,
      ],
    ] as const
  ).map(([name, body, most]): StallInput => ({
    name: `legacy source: ${name}`,
    async send({ victim }, share) {
      const text = body(many(most, share));
      const server = await serve((request, response) => {
        const isExport = request.url?.startsWith('/federation/export') === true;
        response
          .writeHead(isExport ? 200 : 404, { 'content-type': 'application/json' })
          .end(isExport ? text : '{}');
      });
      try {
        await pullFrom(victim, server.url);
      } finally {
        await server.close();
      }
    },
  })),
];

/** Registers a source that is read over HTTP, pulls once and waits for the job to end, for at most a minute. */
async function pullFrom(victim: Member, origin: string): Promise<void> {
  await victim.json('POST', '/federation/nodes', { url: origin, region: 'West' });
  const { job } = await victim.json<{ job: { id: string } }>('POST', '/federation/pull', {
    sourceUrl: origin,
  });
  for (const end = performance.now() + 60_000; performance.now() < end; await sleep(200)) {
    const { state } = await victim.json<{ state: string }>('GET', `/jobs/${job.id}`);
    if (state !== 'waiting' && state !== 'active') return;
  }
}

function defined(patch: Patch): Record<string, string | number | boolean> {
  return Object.fromEntries(
    Object.entries(patch).flatMap(([field, value]) =>
      value === undefined || value === null ? [] : [[field, value]],
    ),
  );
}

/** Everything that a registered peer, a stranger, somebody with a key and an old back end can send. */
export const STALL_INPUTS: readonly StallInput[] = [
  ...ENTRIES,
  ...FRAMES,
  ...STREAMS,
  ...GOSSIP,
  ...QUESTIONS,
  ...REQUESTS,
  ...EVENTS,
  ...LEGACY,
];
