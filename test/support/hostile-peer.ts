import type { Connection, Stream } from '@libp2p/interface';
import { multiaddr } from '@multiformats/multiaddr';
import { bareHost } from './bare-host.ts';
import type { Host } from '../../daemon/libp2p-host.ts';
import { encodeFrontier } from './frontier-pages.ts';
import { signRegistration } from '../../protocols/registry/statement.ts';
import { base64url } from '../../protocols/wire/bytes.ts';
import { FramedStream } from '../../protocols/wire/framed-stream.ts';
import type { Channel } from '../../protocols/wire/ids.ts';
import type { Member } from './federation.ts';
import { Hand, NET, type Random, someIdentity } from './forge.ts';

type ProtocolName = 'frontier' | 'range' | 'announce' | 'peers' | 'attachment';

/** What a hostile peer shows of one feed of its own. */
export interface ShownFeed {
  readonly channel: Channel;
  readonly epoch: string;
  readonly seq: number;
  readonly hash: string;
}

/** A libp2p host in this process that speaks our protocols as it pleases, to one victim. */
export class HostilePeer {
  readonly hand: Hand;
  readonly #host: Host;
  readonly #victim: Member;
  #connection: Connection | undefined;

  private constructor(hand: Hand, host: Host, victim: Member) {
    this.hand = hand;
    this.#host = host;
    this.#victim = victim;
  }

  /** A stranger to the victim, until `register`. */
  static async start(random: Random, victim: Member): Promise<HostilePeer> {
    const identity = someIdentity(random);
    const host = await bareHost(identity);
    host.gossip.subscribe(host.topic);
    return new HostilePeer(new Hand(identity, random.hex(8)), host, victim);
  }

  /** By a signed statement, and by the operator's approval: it has no URL that could be asked. */
  async register(random: Random): Promise<void> {
    const { peerId } = this.hand.identity;
    const statement = signRegistration(this.hand.identity, NET, {
      caller: peerId,
      receiver: this.#victim.peerId as typeof peerId, // the daemon told its own id
      nodeUrl: '',
      region: '',
      name: 'hostile',
      multiaddrs: this.#host.libp2p.getMultiaddrs().map(String),
      schemaVersion: 1,
      time: Date.now(),
      nonce: random.hex(16),
      tlsFingerprint: '',
    });
    const key = await this.#victim.json<{ key: string }>('POST', '/api/keys', {
      userId: peerId,
      scopes: ['register'],
    });
    const answer = await fetch(`${this.#victim.url}/federation/node/register`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-api-key': key.key },
      body: JSON.stringify({ statement: base64url(statement) }),
    });
    if (answer.status !== 202) throw new Error(`registration: ${answer.status} ${await answer.text()}`);
    await this.#victim.json('POST', `/federation/nodes/${peerId}/approve`, {});
  }

  /** Answers every request for a range, a frontier or an attachment with these frames. */
  async serve(
    name: 'range' | 'frontier' | 'attachment',
    frames: () => Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  ): Promise<void> {
    const protocol = `/agrinet/${NET}/${name}/1`;
    await this.#host.libp2p.handle(protocol, async (stream) => {
      const signal = AbortSignal.timeout(60_000);
      const out = new FramedStream(stream, { maxFrame: MAX_FRAME });
      try {
        await out.read(signal);
        for await (const frame of frames()) await out.write(frame, signal);
        await out.close(signal);
      } catch (error) {
        out.abort(error instanceof Error ? error : new Error('answer'));
      }
    });
  }

  /** Shows the victim that this peer has more of its feeds, so that it pulls. */
  async show(feeds: readonly ShownFeed[]): Promise<string> {
    const author = this.hand.identity.peerId;
    const groups = [...Map.groupBy(feeds, ({ channel }) => channel)].map(([channel, items]) => ({
      author,
      channel,
      digest: channel === 'public' ? '00'.repeat(32) : '',
      items: items.map(({ epoch, seq, hash }) => ({ epoch, seq, hash })),
    }));
    return this.throwFrames('frontier', encodeFrontier(groups));
  }

  /** One stream of a protocol: frames, then the reading of whatever comes back. How it ended. */
  async throwFrames(
    name: ProtocolName,
    frames: Iterable<Uint8Array>,
  ): Promise<'closed' | 'reset' | 'no stream'> {
    const signal = AbortSignal.timeout(20_000);
    let stream: Stream;
    try {
      stream = await (await this.#connected()).newStream(`/agrinet/${NET}/${name}/1`, { signal });
    } catch {
      return 'no stream'; // refused, or the connection went: the next one dials again
    }
    const out = new FramedStream(stream, { maxFrame: MAX_FRAME });
    try {
      for (const frame of frames) await out.write(frame, signal);
      await out.close(signal);
      while ((await out.read(signal)) !== null);
      return 'closed';
    } catch (error) {
      out.abort(error instanceof Error ? error : new Error('frame'));
      return 'reset';
    }
  }

  /** The lengths of the frames that come back for one. */
  async ask(name: ProtocolName, request: Uint8Array): Promise<number[]> {
    const signal = AbortSignal.timeout(20_000);
    const stream = await (await this.#connected()).newStream(`/agrinet/${NET}/${name}/1`, { signal });
    const frames = new FramedStream(stream, { maxFrame: MAX_FRAME });
    await frames.write(request, signal);
    await frames.close(signal);
    const lengths: number[] = [];
    for (let frame = await frames.read(signal); frame !== null; frame = await frames.read(signal))
      lengths.push(frame.length);
    return lengths;
  }

  /** One gossip message; whether it could be published. */
  async gossip(data: Uint8Array): Promise<boolean> {
    await this.#connected().catch(() => undefined); // without a connection it is not published
    return this.#host.gossip.publish(this.#host.topic, data).then(
      () => true,
      () => false,
    );
  }

  async #connected(): Promise<Connection> {
    if (this.#connection?.status === 'open') return this.#connection;
    this.#connection = await this.#host.libp2p.dial(multiaddr(this.#victim.multiaddr), {
      signal: AbortSignal.timeout(5000),
    });
    return this.#connection;
  }

  stop(): Promise<void> {
    return this.#host.stop();
  }
}

/** Larger than any frame of ours: what is too large for the victim must be able to leave. */
const MAX_FRAME = 4 * 1024 * 1024;
