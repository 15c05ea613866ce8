import type { PeerInfo } from '@libp2p/interface';
import type { KadDHT } from '@libp2p/kad-dht';
import { CID } from 'multiformats/cid';
import { code as raw } from 'multiformats/codecs/raw';
import { create as digest } from 'multiformats/hashes/digest';
import { type Env, pause } from '../env.ts';
import { sha256 } from '../wire/bytes.ts';

/**
 * Rendezvous in the DHT: every node announces itself under one key per network, and one per network and region, and looks up who
 * else did. The results are candidates: anybody can write provider records, so they are used only for dialling.
 */
export const RENDEZVOUS_LIMITS = {
  /** Providers used from one lookup; more follow with the next. */
  found: 64,
  /** One provide or lookup, milliseconds. */
  operationMs: 10_000,
  /** While the routing table is empty there is nobody to ask. */
  emptyMs: 250,
  /** After the first round: the DHT is still filling. */
  firstMs: 1000,
  /** The longest wait between two rounds. */
  lastMs: 5 * 60_000,
  /** Factor by which each wait exceeds the one before. */
  growth: 1.6,
} as const;

/** The key of a meeting point: raw CID of sha256('agrinet/rendezvous/1/<network>/<region>'), region empty for all. */
export function rendezvousKey(network: string, region: string): CID {
  const name = new TextEncoder().encode(`agrinet/rendezvous/1/${network}/${region}`);
  return CID.createV1(raw, digest(0x12, sha256(name)));
}

export interface RendezvousComponents {
  readonly env: Pick<Env, 'after' | 'deadline' | 'random'>;
  readonly dht: Pick<KadDHT, 'provide' | 'findProviders'>;
  /** Peers in the routing table. */
  readonly tableSize: () => number;
  readonly onFound: (peer: PeerInfo) => void;
  readonly onFailure: (error: unknown) => void;
}

/** Provides and looks, round after round, until stopped. */
export class Rendezvous {
  readonly #parts: RendezvousComponents;
  readonly #keys: readonly CID[];
  #stopping = new AbortController();
  /** Aborted to end the wait between two rounds. */
  #waiting = new AbortController();
  #loop: Promise<void> | undefined;
  #waitMs = 0;

  constructor(
    components: RendezvousComponents,
    { network, region }: { readonly network: string; readonly region: string },
  ) {
    this.#parts = components;
    this.#keys = [rendezvousKey(network, ''), rendezvousKey(network, region)];
  }

  start(): void {
    if (this.#loop !== undefined) return;
    this.#stopping = new AbortController();
    this.#loop = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#waiting.abort();
    await this.#loop;
    this.#loop = undefined;
  }

  /** Starts over with quick rounds: the network is back. */
  hurry(): void {
    this.#waitMs = 0;
    this.#waiting.abort();
  }

  async #run(): Promise<void> {
    const { env, tableSize } = this.#parts;
    const { emptyMs, firstMs, growth, lastMs } = RENDEZVOUS_LIMITS;
    while (!this.#stopping.signal.aborted) {
      if (tableSize() === 0) {
        this.#waitMs = 0;
        await this.#wait(emptyMs);
        continue;
      }
      await Promise.all(this.#keys.map((key) => this.#attempt((signal) => this.#provide(key, signal))));
      await Promise.all(this.#keys.map((key) => this.#attempt((signal) => this.#look(key, signal))));
      if (this.#stopping.signal.aborted) return;
      this.#waitMs = this.#waitMs === 0 ? firstMs : Math.min(this.#waitMs * growth, lastMs);
      await this.#wait(this.#waitMs * (0.5 + env.random() / 2));
    }
  }

  #wait(ms: number): Promise<void> {
    this.#waiting = new AbortController();
    return pause(this.#parts.env, ms, this.#waiting.signal);
  }

  async #attempt(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const { env, onFailure } = this.#parts;
    try {
      await work(AbortSignal.any([this.#stopping.signal, env.deadline(RENDEZVOUS_LIMITS.operationMs)]));
    } catch (error) {
      if (!this.#stopping.signal.aborted) onFailure(error);
    }
  }

  async #provide(key: CID, signal: AbortSignal): Promise<void> {
    const events = this.#parts.dht.provide(key, { signal })[Symbol.asyncIterator]();
    while ((await events.next()).done !== true) signal.throwIfAborted();
  }

  async #look(key: CID, signal: AbortSignal): Promise<void> {
    let left = RENDEZVOUS_LIMITS.found;
    for await (const event of this.#parts.dht.findProviders(key, { signal })) {
      if (event.name !== 'PROVIDER') continue;
      for (const peer of event.providers) {
        if (left-- <= 0) return;
        this.#parts.onFound(peer);
      }
    }
  }
}
