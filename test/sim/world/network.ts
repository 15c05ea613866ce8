import type {
  PeerConnection,
  StreamHandler,
  StreamHost,
  StreamLimits,
} from '../../../protocols/wire/stream.ts';
import type { GossipTopic } from '../../../daemon/gossip-topic.ts';
import type { ReplicationHost } from '../../../daemon/parts/replication.ts';
import { sha256Hex } from '../../../protocols/wire/bytes.ts';
import { VirtualStream } from './streams.ts';
import type { Chance, Process, WorldTime } from './time.ts';

/** One direction between two nodes. */
export interface Link {
  up: boolean;
  /** Milliseconds, at least and at most. */
  delay: readonly [number, number];
  /** Share of messages outside streams that are lost, and that arrive twice; in a stream a loss is a delay. */
  loss: number;
  twice: number;
}

/** A connection over which nothing comes is given up after so many milliseconds, at least and at most. */
const PATIENCE: readonly [number, number] = [10_000, 25_000];
/** What a lost packet costs a stream, milliseconds. */
const RETRANSMISSION_MS = 400;

export const USUAL: Omit<Link, 'up'> = { delay: [1, 80], loss: 0.02, twice: 0.02 };

export interface NetworkParts {
  readonly time: WorldTime;
  readonly chance: Chance;
  readonly trace: (what: string) => void;
}

/** The network of a world: links of their own quality in each direction, connections over them, and gossip. */
export class Network {
  readonly parts: NetworkParts;
  readonly #links = new Map<string, Link>();
  readonly #hosts = new Map<string, VirtualHost>();
  readonly #wires = new Set<Wire>();

  constructor(parts: NetworkParts) {
    this.parts = parts;
  }

  link(from: string, to: string): Link {
    const id = `${from}>${to}`;
    const known = this.#links.get(id);
    if (known !== undefined) return known;
    const link: Link = { up: true, ...USUAL };
    this.#links.set(id, link);
    return link;
  }

  /** Every link as usual again, and all that was held up goes on. */
  heal(): void {
    for (const link of this.#links.values()) Object.assign(link, { up: true }, USUAL);
    this.changed();
  }

  /** Links were changed: what waits for one that is up again goes on, what waits for one that is down loses patience some time. */
  changed(): void {
    for (const wire of this.#wires) wire.linksChanged();
  }

  host(peer: string, parts: HostParts): VirtualHost {
    const host = new VirtualHost(this, peer, parts);
    this.#hosts.set(peer, host);
    return host;
  }

  /** A host is gone: in order, killed (the system of it says so), or without a word. */
  gone(peer: string, silently: boolean): void {
    this.#hosts.delete(peer);
    for (const wire of this.#wires) wire.lost(peer, silently);
  }

  reaches(from: string, to: string): boolean {
    return this.#hosts.has(to) && this.link(from, to).up && this.link(to, from).up;
  }

  /** Takes some time; nothing comes of it when the other side cannot be reached. */
  dial(from: VirtualHost, to: string): void {
    const { time } = this.parts;
    time.after(this.delay(from.peer, to) + this.delay(to, from.peer), () => {
      const other = this.#hosts.get(to);
      if (other === undefined || !from.process.alive || !this.reaches(from.peer, to)) return;
      if (from.isConnected(to) || other.isConnected(from.peer)) return;
      const wire = new Wire(this, from, other, (ended) => this.#wires.delete(ended));
      this.#wires.add(wire);
      wire.open();
    });
  }

  delay(from: string, to: string): number {
    const [least, most] = this.link(from, to).delay;
    return least + this.parts.chance.below(most - least + 1);
  }

  patience(): number {
    return PATIENCE[0] + this.parts.chance.below(PATIENCE[1] - PATIENCE[0]);
  }

  /** One message outside streams: lost, late, twice, in any order. */
  datagram(from: VirtualHost, to: string, data: Uint8Array, note = ''): void {
    const { chance, time, trace } = this.parts;
    const link = this.link(from.peer, to);
    if (!link.up || chance() < link.loss) return;
    for (let copies = chance() < link.twice ? 2 : 1; copies > 0; copies--)
      time.after(this.delay(from.peer, to), () => {
        const other = this.#hosts.get(to);
        if (other === undefined || !this.link(from.peer, to).up) return;
        trace(`gossip ${from.peer} ${to} ${data.length} ${note}`);
        other.heard(data, from.peer);
      });
  }
}

/** What a process says of itself to the network. */
export interface HostParts {
  readonly process: Process;
  /** Whether gossip goes to this peer. */
  readonly isMember: (peer: string) => boolean;
  /** A gossip message was refused as what no honest node can have sent. */
  readonly onRejected: (from: string) => void;
}

interface Handled {
  readonly answer: StreamHandler;
  readonly limits: StreamLimits;
}

/** The network as one process sees it; to the protocols it is what libp2p is. */
export class VirtualHost implements StreamHost, ReplicationHost {
  readonly peer: string;
  readonly process: Process;
  readonly streams = this;
  readonly entries: GossipTopic;
  readonly #parts: HostParts;
  readonly #network: Network;
  readonly #handlers = new Map<string, Handled>();
  readonly #connections = new Set<WireEnd>();
  readonly #seen = new Set<string>();
  readonly #connected: ((connection: PeerConnection) => void)[] = [];
  #onMessage: Parameters<GossipTopic['join']>[0] = async () => 'ignore';
  #onSubscribed: (peer: string) => void = () => undefined;

  constructor(network: Network, peer: string, parts: HostParts) {
    this.#network = network;
    this.#parts = parts;
    this.peer = peer;
    this.process = parts.process;
    this.entries = {
      publish: (data) => this.publish(data),
      join: (onMessage, onSubscribed) => {
        this.#onMessage = onMessage;
        this.#onSubscribed = onSubscribed;
      },
    };
  }

  onConnection(listener: (connection: PeerConnection) => void): void {
    this.#connected.push(listener);
  }

  async handle(protocol: string, answer: StreamHandler, limits: StreamLimits): Promise<void> {
    if (protocol.endsWith('/frontier/2') && isOfOldVersion(this.peer)) return;
    this.#handlers.set(protocol, { answer, limits });
  }

  async unhandle(protocol: string): Promise<void> {
    this.#handlers.delete(protocol);
  }

  handled(protocol: string): Handled | undefined {
    return this.#handlers.get(protocol);
  }

  getConnections(): readonly PeerConnection[] {
    return [...this.#connections];
  }

  isConnected(peer: string): boolean {
    return [...this.#connections].some((end) => end.status === 'open' && end.remotePeer === peer);
  }

  dial(peer: string): void {
    this.#network.dial(this, peer);
  }

  opened(end: WireEnd): void {
    this.#connections.add(end);
    for (const listener of this.#connected) listener(end);
    this.#network.parts.time.after(this.#network.parts.chance.below(300), () => {
      if (this.process.alive && end.status === 'open') this.#onSubscribed(end.remotePeer);
    });
  }

  closed(end: WireEnd): void {
    this.#connections.delete(end);
  }

  /** To every member that is connected; from somebody's message on its way, not back to whom it came from. */
  async publish(data: Uint8Array, from?: string): Promise<void> {
    this.#seen.add(sha256Hex(data));
    const peers = new Set([...this.#connections].map(({ remotePeer }) => remotePeer));
    for (const peer of peers)
      if (peer !== from && this.#parts.isMember(peer)) this.#network.datagram(this, peer, data);
  }

  heard(data: Uint8Array, from: string): void {
    const id = sha256Hex(data);
    if (!this.process.alive || !this.isConnected(from) || this.#seen.has(id)) return;
    this.#seen.add(id);
    void this.#onMessage(data, from).then((verdict) => {
      if (verdict === 'reject') this.#parts.onRejected(from);
      if (verdict === 'accept' && this.process.alive) void this.publish(data, from);
    });
  }
}

/** One end of a connection. */
export class WireEnd implements PeerConnection {
  readonly host: VirtualHost;
  readonly remotePeer: string;
  readonly timeline: { readonly open: number };
  readonly streams = new Set<VirtualStream>();
  readonly #wire: Wire;
  status = 'open';

  constructor(wire: Wire, host: VirtualHost, remotePeer: string, opened: number) {
    this.#wire = wire;
    this.host = host;
    this.remotePeer = remotePeer;
    this.timeline = { open: opened };
  }

  newStream(
    protocols: string | string[],
    { signal }: { readonly signal: AbortSignal },
  ): Promise<VirtualStream> {
    return this.#wire.newStream(this, [protocols].flat(), signal);
  }
}

/** A third of all nodes answer as a version does that knows no digests of frontiers. */
function isOfOldVersion(peer: string): boolean {
  return peer.charCodeAt(peer.length - 1) % 3 === 0;
}

/** A connection: in each direction everything arrives in order, late, or not at all once it has broken. */
class Wire {
  readonly #network: Network;
  readonly #ends: readonly [WireEnd, WireEnd];
  readonly #onEnd: (wire: Wire) => void;
  /** By the host that sends: when the last one arrives, and what waits for the link. */
  readonly #lastAt = new Map<WireEnd, number>();
  readonly #held = new Map<WireEnd, (() => void)[]>();
  #broken = false;
  #givingUp = false;

  constructor(network: Network, a: VirtualHost, b: VirtualHost, onEnd: (wire: Wire) => void) {
    this.#network = network;
    const { now } = network.parts.time;
    this.#ends = [new WireEnd(this, a, b.peer, now), new WireEnd(this, b, a.peer, now)];
    this.#onEnd = onEnd;
  }

  open(): void {
    for (const end of this.#ends) end.host.opened(end);
  }

  #otherEnd(end: WireEnd): WireEnd {
    return this.#ends[0] === end ? this.#ends[1] : this.#ends[0];
  }

  #carry(from: WireEnd, arrive: () => void): void {
    if (this.#broken || from.status !== 'open' || !from.host.process.alive) return;
    const link = this.#network.link(from.host.peer, from.remotePeer);
    if (link.up) return this.#onItsWay(from, arrive);
    const held = this.#held.get(from) ?? [];
    held.push(arrive);
    this.#held.set(from, held);
    this.#giveUpSomeTime();
  }

  #onItsWay(from: WireEnd, arrive: () => void): void {
    const { time, chance, trace } = this.#network.parts;
    const { peer } = from.host;
    const again = chance() < this.#network.link(peer, from.remotePeer).loss ? RETRANSMISSION_MS : 0;
    const at = Math.max(
      this.#lastAt.get(from) ?? 0,
      time.now + this.#network.delay(peer, from.remotePeer) + again,
    );
    this.#lastAt.set(from, at);
    time.after(at - time.now, () => {
      const to = this.#otherEnd(from);
      if (this.#broken || to.status !== 'open' || !to.host.process.alive) return;
      trace(`stream ${peer} ${from.remotePeer}`);
      arrive();
    });
  }

  linksChanged(): void {
    for (const end of this.#ends) {
      const { up } = this.#network.link(end.host.peer, end.remotePeer);
      if (!up) this.#giveUpSomeTime();
      const held = up ? (this.#held.get(end) ?? []) : [];
      if (!up) continue;
      this.#held.delete(end);
      for (const arrive of held) this.#carry(end, arrive);
    }
  }

  /** A link that is down when patience ends breaks the connection; each side finds that out by itself. */
  #giveUpSomeTime(): void {
    if (this.#givingUp) return;
    this.#givingUp = true;
    this.#network.parts.time.after(this.#network.patience(), () => {
      this.#givingUp = false;
      const isDown = this.#ends.some((end) => !this.#network.link(end.host.peer, end.remotePeer).up);
      if (!isDown || this.#broken) return;
      this.#broken = true;
      this.#onEnd(this);
      this.#ends.forEach((end, i) => {
        this.#network.parts.time.after(i * this.#network.parts.chance.below(2000), () => this.#close(end));
      });
    });
  }

  /** One of its hosts is gone. */
  lost(peer: string, silently: boolean): void {
    const end = this.#ends.find(({ host }) => host.peer === peer);
    if (end === undefined || this.#broken) return;
    const other = this.#otherEnd(end);
    end.status = 'closed';
    const after = silently ? this.#network.patience() : this.#network.delay(peer, end.remotePeer);
    this.#network.parts.time.after(after, () => {
      this.#broken = true;
      this.#onEnd(this);
      this.#close(other);
    });
  }

  #close(end: WireEnd): void {
    if (end.status !== 'open') return;
    end.status = 'closed';
    end.host.closed(end);
    if (!end.host.process.alive) return;
    for (const stream of end.streams) stream.reset(new Error('the connection broke'));
  }

  newStream(from: WireEnd, protocols: readonly string[], signal: AbortSignal): Promise<VirtualStream> {
    const { host } = this.#otherEnd(from);
    const protocol = protocols.find((each) => host.handled(each) !== undefined) ?? protocols.join();
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(reasonOf(signal));
      if (from.status !== 'open' || this.#broken) return reject(new Error('the connection is closed'));
      const limits = from.host.handled(protocol)?.limits;
      if (countOf(from, protocol) >= (limits?.maxOutboundStreams ?? Infinity))
        return reject(new Error('too many outbound streams'));
      const to = this.#otherEnd(from);
      const mine = this.#stream(from, protocol);
      const onAbort = (): void => {
        mine.abort(reasonOf(signal));
        reject(reasonOf(signal));
      };
      signal.addEventListener('abort', onAbort, { once: true });
      mine.addEventListener('close', ({ error }) => {
        if (error !== undefined) reject(error);
      });
      this.#carry(from, () => {
        const handled = to.host.handled(protocol);
        if (handled === undefined || countOf(to, protocol) >= handled.limits.maxInboundStreams) {
          this.#carry(to, () => mine.reset(new Error(`${protocol} is not spoken`)));
          return;
        }
        const theirs = this.#stream(to, protocol);
        VirtualStream.join(mine, theirs);
        this.#carry(to, () => {
          signal.removeEventListener('abort', onAbort);
          resolve(mine);
        });
        void handled.answer(theirs, to);
      });
    });
  }

  #stream(end: WireEnd, protocol: string): VirtualStream {
    const stream = new VirtualStream(
      protocol,
      (arrive) => this.#carry(end, arrive),
      () => end.streams.delete(stream),
    );
    end.streams.add(stream);
    return stream;
  }
}

function countOf(end: WireEnd, protocol: string): number {
  let count = 0;
  for (const stream of end.streams) if (stream.protocol === protocol) count++;
  return count;
}

function reasonOf(signal: AbortSignal): Error {
  return signal.reason instanceof Error ? signal.reason : new Error('aborted');
}
