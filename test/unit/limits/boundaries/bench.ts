import { once } from 'node:events';
import { connect } from 'node:net';
import type { Stream } from '@libp2p/interface';
import { multiaddr } from '@multiformats/multiaddr';
import { systemEnv } from '../../../../daemon/system-env.ts';
import { createHost, type Host } from '../../../../daemon/libp2p-host.ts';
import { createLogger } from '../../../../daemon/logger.ts';
import { loadSettings } from '../../../../daemon/settings.ts';
import { ITEM_SEQUENCE } from '../../../../protocols/mycelium/item-sequence.ts';
import { encodeItem, type RangeItem } from '../../../../protocols/mycelium/range-item.ts';
import { REQUEST_HEADER, signRequest } from '../../../../protocols/mycelium/signed-request.ts';
import { concat } from '../../../../protocols/wire/bytes.ts';
import { FramedStream } from '../../../../protocols/wire/framed-stream.ts';
import type { Identity } from '../../../../protocols/wire/identity.ts';
import { Hand, NET, type Random, randomFrom, someIdentity } from '../../../support/forge.ts';
import { registerHere, startNode, TEST_KEY, type TestNode } from '../../../support/in-process-node.ts';
import { serveNode } from '../../../support/served-node.ts';
import { tempDir } from '../../../support/temp-dir.ts';

/** A stream that is open, with nothing sent on it yet. */
export interface Opened {
  /** Sends frames, closes this side and reads to the end: how it ended. */
  finish(frames: readonly Uint8Array[]): Promise<'closed' | 'reset'>;
}

async function peerOf(node: TestNode, random: Random): Promise<{ peer: Identity; host: Host }> {
  const peer = someIdentity(random);
  await registerHere(node, peer.peerId, { nodeUrl: 'http://127.0.0.1:1' });
  const host = await createHost({
    env: systemEnv,
    identity: peer,
    network: NET,
    listen: ['/ip4/127.0.0.1/tcp/0'],
    isRegistered: () => true,
    strangerSlots: 8,
    logger: createLogger(loadSettings({ LOG_LEVEL: 'silent' })),
  });
  return { peer, host };
}

/** One node with its API on the socket of the real server, and a registered peer that speaks our protocols as it pleases. */
export class Bench {
  readonly random: Random = randomFrom(11);
  readonly #node: TestNode;
  readonly #port: number;
  /** A registered peer of this case alone: what an earlier one was distrusted for is not held against it. */
  peer: Identity;
  #host: Host;
  readonly #close: () => Promise<void>;

  private constructor(node: TestNode, port: number, host: Host, peer: Identity, close: () => Promise<void>) {
    this.#node = node;
    this.#port = port;
    this.#host = host;
    this.peer = peer;
    this.#close = close;
  }

  static async start(): Promise<Bench> {
    const dir = tempDir('boundaries');
    const node = await startNode(dir.path, { RATE_LIMIT: 'off' });
    const served = await serveNode(node);
    const { peer, host } = await peerOf(node, randomFrom(12));
    return new Bench(node, served.port, host, peer, async () => {
      served.close();
      await node.stop();
      dir.remove();
    });
  }

  get self(): TestNode {
    return this.#node;
  }

  async stop(): Promise<void> {
    await this.#host.stop();
    await this.#close();
  }

  async anotherPeer(): Promise<void> {
    await this.#host.stop();
    ({ peer: this.peer, host: this.#host } = await peerOf(this.#node, this.random));
  }

  /** Status and code of an answer. */
  async ask(
    method: string,
    path: string,
    body?: string | Uint8Array,
    headers: Record<string, string> = {},
  ): Promise<string> {
    const response = await fetch(`http://127.0.0.1:${this.#port}${path}`, {
      method,
      headers: { 'x-api-key': TEST_KEY, 'content-type': 'application/json', ...headers },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : Buffer.from(body) }),
    });
    const text = await response.text();
    const code = /"code":"([a-z-]+)"/.exec(text)?.[1];
    return code === undefined || response.ok ? String(response.status) : `${response.status} ${code}`;
  }

  /** The same, signed by the peer instead of a key. */
  async askSigned(method: 'GET' | 'POST', path: string, body?: Uint8Array): Promise<string> {
    const request = signRequest(this.peer, {
      net: NET,
      receiver: this.#node.node.identity.peerId,
      method,
      path,
      time: Date.now(),
      nonce: this.random.bytes(16),
    });
    const type = body === undefined ? {} : { 'content-type': 'application/cbor' };
    return this.ask(method, path, body, { [REQUEST_HEADER]: request, ...type });
  }

  /** Bytes on a connection of their own; all that comes back until it closes. */
  async raw(text: string): Promise<string> {
    const socket = connect(this.#port, '127.0.0.1');
    let answer = '';
    socket.setEncoding('latin1').on('data', (chunk: string) => (answer += chunk));
    socket.on('error', () => undefined); // a reset after the answer is one way to close
    socket.write(text);
    await once(socket, 'close', { signal: AbortSignal.timeout(10_000) });
    return answer;
  }

  /** A feed of its own, whose author is followed here. */
  async hand(): Promise<Hand> {
    const author = someIdentity(this.random);
    await registerHere(this.#node, author.peerId);
    return new Hand(author, this.random.hex(8));
  }

  /** Entries, or proofs, as a feed file brings them: how many entries were taken, or the code of the first that was not. */
  async file(entries: readonly Uint8Array[], kind: RangeItem['kind'] = 'entry'): Promise<unknown> {
    const taken = { accepted: 0, code: '' };
    for (let at = 0; at < entries.length; at += 500) {
      const items = entries.slice(at, at + 500).map((bytes) => encodeItem({ kind, bytes }));
      const response = await fetch(`http://127.0.0.1:${this.#port}/federation/feed-file`, {
        method: 'POST',
        headers: { 'x-api-key': TEST_KEY, 'content-type': ITEM_SEQUENCE },
        body: Buffer.from(concat(items)),
      });
      const answer = (await response.json()) as {
        accepted?: number;
        code?: string;
        reasons?: Record<string, number>;
        rejected?: { code: string };
      };
      taken.accepted += answer.accepted ?? 0;
      taken.code ||= answer.rejected?.code ?? answer.code ?? Object.keys(answer.reasons ?? {})[0] ?? '';
    }
    return taken.code === '' ? taken.accepted : taken.code;
  }

  /** The code of the verdict on the newest op of an author that does not count; `counts` when there is none. */
  async verdictOn(hand: Hand): Promise<string> {
    const answer = await this.#node.request('GET', `/federation/ops?author=${hand.identity.peerId}`);
    const { ops } = (await answer.json()) as { ops: { verdict: { code?: string } }[] };
    return ops[0]?.verdict.code ?? 'counts';
  }

  /** A stream of one of our protocols to the node. */
  async open(name: 'frontier' | 'range' | 'announce' | 'peers'): Promise<Opened> {
    const { libp2p } = this.#host;
    const known = libp2p.getConnections().find(({ status }) => status === 'open');
    const connection = known ?? (await libp2p.dial(this.#node.addresses.map(multiaddr)));
    const stream: Stream = await connection.newStream(`/agrinet/${NET}/${name}/1`, {
      signal: AbortSignal.timeout(5000),
    });
    const frames = new FramedStream(stream, { maxFrame: 4 * 1024 * 1024 });
    const signal = AbortSignal.timeout(10_000);
    return {
      async finish(list) {
        try {
          for (const frame of list) await frames.write(frame, signal);
          await frames.close(signal);
          while ((await frames.read(signal)) !== null);
          return 'closed';
        } catch (error) {
          frames.abort(error instanceof Error ? error : new Error('ended'));
          return 'reset';
        }
      },
    };
  }

  /** One stream with these frames: how it ended. */
  async throw(
    name: 'frontier' | 'range' | 'announce' | 'peers',
    list: readonly Uint8Array[],
  ): Promise<string> {
    return (await this.open(name)).finish(list);
  }
}
