import { randomBytes } from 'node:crypto';
import { zstdCompressSync } from 'node:zlib';
import type { Connection } from '@libp2p/interface';
import { bareHost } from '../support/bare-host.ts';
import type { Host } from '../../daemon/libp2p-host.ts';
import { encodeFrontier } from '../support/frontier-pages.ts';
import { encodeMessage } from '../../protocols/mycelium/message.ts';
import { encodeRangeRequest } from '../../protocols/mycelium/range.ts';
import { encodeItem } from '../../protocols/mycelium/range-item.ts';
import { SNAPSHOT_LISTS } from '../../protocols/checkpoint/snapshot-list.ts';
import { encodeSnapshotRequest } from '../../protocols/mycelium/snapshot-request.ts';
import { concat } from '../../protocols/wire/bytes.ts';
import { encodeCbor } from '../../protocols/wire/cbor.ts';
import { FramedStream } from '../../protocols/wire/framed-stream.ts';
import { type Identity, identityFromSeed } from '../../protocols/wire/identity.ts';
import { type Channel, recordKey } from '../../protocols/wire/ids.ts';
import { LIMITS } from '../../protocols/wire/limits.ts';
import { multiaddr } from '@multiformats/multiaddr';
import { Hand, listingOps, NET, priceOps, type Random, randomFrom, someIdentity } from '../support/forge.ts';
import { startNode, type TestNode } from '../support/in-process-node.ts';
import { tempDir } from '../support/temp-dir.ts';
import { waitFor } from '../support/wait.ts';
import { type FuzzReport, uncaughtDuring, worstLag } from './fuzz.ts';
import { mutated } from './mutate.ts';
import { StallRounds } from './stalls.ts';

/** A libp2p host that speaks our protocols as it pleases. */
interface Attacker {
  readonly identity: Identity;
  readonly hand: Hand;
  readonly host: Host;
  connection: Connection | undefined;
}

const PROTOCOLS = ['frontier', 'range', 'announce', 'peers', 'snapshot'] as const;
const ROUNDS = 4;
/** A range frame: zstd of these items. */
const packed = (items: Uint8Array): Uint8Array => concat([Uint8Array.of(1), zstdCompressSync(items)]);
const BOMBS = [
  packed(new Uint8Array(32 * 1024 * 1024)),
  packed(new Uint8Array(340_000 * 3).map((_, i) => [0x82, 0, 0x40][i % 3] ?? 0)),
];

/**
 * A whole node between a registered and an unregistered attacker, who throw malformed, oversized and lying frames at its real
 * streams and its gossip. Its digest stays, it serves its own users meanwhile, and stalls no more than under as many honest frames.
 */
export async function fuzzNode(count: number, seed: number): Promise<FuzzReport> {
  const random = randomFrom(seed);
  const folder = tempDir('fuzz-node');
  const victim = await startNode(folder.path);
  const outcomes: Record<string, Record<string, number>> = {};
  const note = (kind: string, outcome: string): void => {
    const counts = (outcomes[kind] ??= {});
    counts[outcome] = (counts[outcome] ?? 0) + 1;
  };
  const faults: string[] = [];
  const rounds = new StallRounds();
  const attackers: Attacker[] = [];
  try {
    const registered = await attacker(random);
    const stranger = await attacker(random);
    attackers.push(registered, stranger);
    await register(victim, registered);
    const each = Math.ceil(count / ROUNDS / 2);
    const uncaught = await uncaughtDuring(async () => {
      for (let round = 0; round <= ROUNDS; round++) {
        const control = await worstLag(() => honestRound(victim, registered, each, random));
        const before = await digestWithout(victim);
        const attacks = [
          { kind: 'registered', one: registered, frames: framesToThrow(registered, each, random) },
          { kind: 'stranger', one: stranger, frames: framesToThrow(stranger, each, random) },
        ];
        const attack = await worstLag(async () => {
          for (const { kind, one, frames } of attacks)
            await attackRound(victim, one, frames, (what, outcome) => note(`${kind} ${what}`, outcome));
          await serves(victim, faults);
        });
        if ((await digestWithout(victim)) !== before) faults.push('the digest has changed');
        // What runs for the first time is compiled, and that takes as many frames as a round has.
        if (round === 0) continue;
        rounds.begin();
        rounds.note('control', control);
        rounds.note('attack', attack);
      }
      // nothing is left of lies: what was wanted because of them has been asked for once and given up
      await waitFor('the pulls to end', () => victim.node.mycelium.pending === 0, 60_000).catch(
        (error: unknown) => faults.push(`${String(error)}: ${victim.node.mycelium.pending} pending`),
      );
      if (victim.node.store.feedGroups().some(({ channel }) => channel !== 'public'))
        faults.push('it holds a private channel that it takes no part in');
      // What its stop leaves open would be thrown by now.
      await victim.stop();
    });
    faults.push(...uncaught);
  } finally {
    for (const { host } of attackers) await host.stop();
    await victim.stop();
    folder.remove();
  }
  return { seed, outcomes, faults, stalls: rounds.stalls };
}

async function attacker(random: Random): Promise<Attacker> {
  const identity = identityFromSeed(random.bytes(32));
  const host = await bareHost(identity);
  host.gossip.subscribe(host.topic);
  // it answers what is asked of it with garbage, too
  for (const name of ['range', 'frontier'] as const) {
    await host.libp2p.handle(`/agrinet/${NET}/${name}/1`, async (stream) => {
      const frames = new FramedStream(stream, { maxFrame: 2 ** 20 });
      const signal = AbortSignal.timeout(2000);
      try {
        await frames.write(garbage(name, random, undefined), signal);
        await frames.close(signal);
      } catch (error) {
        frames.abort(error instanceof Error ? error : new Error('answer'));
      }
    });
  }
  return { identity, hand: new Hand(identity, random.hex(8)), host, connection: undefined };
}

async function register(victim: TestNode, { identity, host }: Attacker): Promise<void> {
  await victim.node.registry.register(
    {
      caller: identity.peerId,
      nodeUrl: '',
      region: '',
      name: '',
      multiaddrs: host.libp2p.getMultiaddrs().map(String),
      schemaVersion: 1,
      tlsFingerprint: '',
    },
    undefined,
    Date.now(),
  );
}

async function connect(victim: TestNode, one: Attacker): Promise<Connection> {
  if (one.connection?.status === 'open') return one.connection;
  one.connection = await one.host.libp2p.dial(
    victim.addresses.map((address) => multiaddr(address)),
    {
      signal: AbortSignal.timeout(5000),
    },
  );
  return one.connection;
}

/** One stream: a prefix of frames, then the reading of whatever comes back. Answers how it ended. */
async function throwFrame(victim: TestNode, one: Attacker, name: string, frame: Uint8Array): Promise<string> {
  const signal = AbortSignal.timeout(3000);
  // What it sent before must not keep the next frame from being looked at.
  victim.node.offences.forgive(one.identity.peerId);
  try {
    const connection = await connect(victim, one);
    const stream = await connection.newStream(`/agrinet/${NET}/${name}/1`, { signal });
    const frames = new FramedStream(stream, { maxFrame: 2 ** 21 });
    try {
      await frames.write(frame, signal);
      await frames.close(signal);
      for (let answers = 0; ; answers++)
        if ((await frames.read(signal)) === null) return answers > 0 ? 'answered' : 'closed';
    } catch (error) {
      frames.abort(error instanceof Error ? error : new Error('frame'));
      return 'reset';
    }
  } catch {
    return 'no stream'; // refused, or the connection went: the next frame dials again
  }
}

/** A frame for a protocol, or for the gossip. */
interface Throw {
  readonly name: string;
  readonly frame: Uint8Array;
}

/** Made before they are thrown: signing and mutating is no work of the victim, whose stalls are measured. */
function framesToThrow(one: Attacker, size: number, random: Random): Throw[] {
  return Array.from({ length: Math.ceil(size / 8) * 8 }, (_, i) => {
    const name = i % 8 >= 6 ? 'gossip' : random.pick(PROTOCOLS);
    return { name, frame: garbage(name, random, one) };
  });
}

async function attackRound(
  victim: TestNode,
  one: Attacker,
  frames: readonly Throw[],
  note: (what: string, outcome: string) => void,
): Promise<void> {
  for (let done = 0; done < frames.length; done += 8) {
    await Promise.all(
      frames.slice(done, done + 8).map(async ({ name, frame }) => {
        if (name === 'gossip') {
          note(name, await victim.node.mycelium.gossiped(frame, one.identity.peerId));
          await one.host.gossip.publish(one.host.topic, frame).catch(() => note(name, 'not published'));
        } else note(name, await throwFrame(victim, one, name, frame));
      }),
    );
  }
}

/** Frames for one protocol: malformed, too long, bombs, and well-formed lies. */
function garbage(name: string, random: Random, one: Attacker | undefined): Uint8Array {
  const author = one?.identity.peerId ?? someIdentity(random).peerId;
  const channel: Channel =
    random.int(2) === 0 ? 'public' : recordKey('conversations', author, random.hex(16));
  const item = {
    epoch: random.hex(8),
    seq: random.pick([1, LIMITS.feedEntries, 2 ** 53 - 1]),
    hash: random.hex(32),
  };
  const announcement = { author, channel, epoch: item.epoch, seq: item.seq, hash: item.hash };
  const hand = one?.hand ?? new Hand(someIdentity(random), random.hex(8));
  const gap = hand.sign(priceOps(hand.pen, 'gap', 1), { seq: LIMITS.feedEntries - 1, prev: random.hex(32) });
  const secret = new Hand(hand.identity, random.hex(8), recordKey('conversations', author, random.hex(16)));
  const make: Record<string, () => Uint8Array[]> = {
    frontier: () =>
      encodeFrontier(
        Array.from({ length: 1 + random.int(300) }, () => ({
          author,
          channel: recordKey('conversations', author, random.hex(16)),
          digest: '',
          items: [item],
        })),
      ),
    range: () => [
      encodeRangeRequest({ author, channel, have: Array.from({ length: random.int(2000) }, () => item) }),
      ...BOMBS,
      packed(
        concat([
          encodeItem({ kind: 'entry', bytes: gap.bytes }),
          encodeItem({ kind: 'proof', bytes: gap.bytes }),
        ]),
      ),
    ],
    announce: () => [encodeMessage({ kind: 'announcement', announcement })],
    peers: () => [encodeCbor(32), encodeCbor(1e9)],
    snapshot: () => {
      const checkpoint = { author, checkpoint: random.hex(32), list: random.pick(SNAPSHOT_LISTS) };
      const last = 0xffff_ffff;
      return [
        encodeSnapshotRequest({ kind: 'checkpoints', author }),
        encodeSnapshotRequest({ kind: 'hashes', ...checkpoint }),
        encodeSnapshotRequest({ kind: 'chunks', ...checkpoint, first: random.pick([0, last]), last }),
      ];
    },
    gossip: () => [
      encodeMessage({ kind: 'entry', bytes: gap.bytes }),
      encodeMessage({ kind: 'entry', bytes: secret.sign(priceOps(secret.pen, 'x', 1)).bytes }),
      encodeMessage({ kind: 'announcement', announcement }),
      encodeMessage({ kind: 'proof', bytes: encodeCbor([gap.envelopeBytes, gap.envelopeBytes]) }),
    ],
  };
  const honest = random.pick(make[name]?.() ?? [new Uint8Array(1)]);
  return random.int(3) === 0 ? honest : mutated([honest], random, random.int(50) === 0 ? 2 ** 20 : 70_000);
}

/** As many honest frames as an attack has: frontier exchanges, pulls, and entries of the registered one through gossip. */
async function honestRound(victim: TestNode, one: Attacker, size: number, random: Random): Promise<void> {
  const self = victim.node.identity.peerId;
  for (let done = 0; done < size; done += 8) {
    await Promise.all(
      Array.from({ length: 8 }, async (_, i) => {
        if (i >= 6) {
          const entry = one.hand.next(
            listingOps(one.hand.pen, random.hex(8), undefined, { title: random.hex(4) }),
          );
          await victim.node.mycelium.gossiped(
            encodeMessage({ kind: 'entry', bytes: entry.bytes }),
            one.identity.peerId,
          );
        } else if (i >= 3) {
          await throwFrame(
            victim,
            one,
            'range',
            encodeRangeRequest({ author: self, channel: 'public', have: [] }),
          );
        } else await throwFrame(victim, one, 'frontier', encodeFrontier([])[0] ?? new Uint8Array(0));
      }),
    );
    await serves(victim, []);
  }
}

/** The node's own users are served: a listing is written and read. */
async function serves(victim: TestNode, faults: string[]): Promise<void> {
  const started = performance.now();
  const posted = await victim.request('PUT', '/listings/served', {
    type: 'offer',
    title: randomBytes(4).toString('hex'),
  });
  const read = await victim.request('GET', `/listings/served`);
  if (posted.status >= 300 || read.status !== 200)
    faults.push(`its own user got ${posted.status} and ${read.status}`);
  if (performance.now() - started > 5000) faults.push('its own user waited for over 5 s');
}

/** The digests of everybody but the node itself, whose own user writes meanwhile. */
async function digestWithout(victim: TestNode): Promise<string> {
  const { owners } = (await (await victim.request('GET', '/federation/digest')).json()) as {
    owners: Record<string, { digest: string }>;
  };
  const own = victim.node.identity.peerId;
  return JSON.stringify(
    Object.entries(owners)
      .map(([owner, { digest }]) => [owner, owner === own ? '' : digest])
      .sort(),
  );
}
