import type { PeerInfo } from '@libp2p/interface';
import type { KadDHT } from '@libp2p/kad-dht';
import { CID } from 'multiformats/cid';
import { code as raw } from 'multiformats/codecs/raw';
import { create as digest } from 'multiformats/hashes/digest';
import { sha256 } from '../wire/bytes.ts';

/**
 * Meeting points in the DHT: every node says under one key per network, and one per network and region, that it is here,
 * and looks who else did. What it finds are candidates: anybody can write provider records, so nothing follows from them
 * but a dial.
 */
export const RENDEZVOUS_LIMITS = {
  /** Providers taken from one look; more come at the next. */
  found: 64,
  /** One provide or look, milliseconds. */
  operationMs: 10_000,
  /** While the routing table is empty there is nobody to ask. */
  emptyMs: 250,
  /** After the first round: the DHT is still filling. */
  firstMs: 1000,
  /** The longest wait between two rounds. */
  lastMs: 5 * 60_000,
  /** Each wait is so many times the one before. */
  growth: 1.6,
} as const;

/** The key of a meeting point: raw CID of sha256('agrinet/rendezvous/1/<network>/<region>'), region empty for all. */
export function rendezvousKey(network: string, region: string): CID {
  const name = new TextEncoder().encode(`agrinet/rendezvous/1/${network}/${region}`);
  return CID.createV1(raw, digest(0x12, sha256(name)));
}

export interface RendezvousComponents {
  readonly dht: Pick<KadDHT, 'provide' | 'findProviders'>;
  /** Peers in the routing table. */
  readonly tableSize: () => number;
  readonly onFound: (peer: PeerInfo) => void;
  readonly onFailure: (error: unknown) => void;
  readonly random: () => number;
}

export interface Rendezvous {
  start(): void;
  stop(): Promise<void>;
  /** Starts over with quick rounds: the network is back. */
  hurry(): void;
}

/** Provides and looks, round after round, until stopped. */
export function createRendezvous(
  components: RendezvousComponents,
  options: { readonly network: string; readonly region: string },
): Rendezvous {
  const keys = [rendezvousKey(options.network, ''), rendezvousKey(options.network, options.region)];
  let stopping = new AbortController();
  let loop: Promise<void> | undefined;
  let wait = 0;
  let wakeUp: () => void = () => undefined;

  async function attempt(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const signal = AbortSignal.any([stopping.signal, AbortSignal.timeout(RENDEZVOUS_LIMITS.operationMs)]);
    try {
      await work(signal);
    } catch (error) {
      if (!stopping.signal.aborted) components.onFailure(error);
    }
  }

  async function provide(key: CID, signal: AbortSignal): Promise<void> {
    const events = components.dht.provide(key, { signal })[Symbol.asyncIterator]();
    while ((await events.next()).done !== true) signal.throwIfAborted();
  }

  async function look(key: CID, signal: AbortSignal): Promise<void> {
    let left = RENDEZVOUS_LIMITS.found;
    for await (const event of components.dht.findProviders(key, { signal })) {
      if (event.name !== 'PROVIDER') continue;
      for (const peer of event.providers) {
        if (left-- <= 0) return;
        components.onFound(peer);
      }
    }
  }

  function pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        wakeUp = () => undefined;
        resolve();
      };
      const timer = setTimeout(done, ms);
      timer.unref();
      wakeUp = done;
    });
  }

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      if (components.tableSize() === 0) {
        wait = 0;
        await pause(RENDEZVOUS_LIMITS.emptyMs);
        continue;
      }
      await Promise.all(keys.map((key) => attempt((signal) => provide(key, signal))));
      await Promise.all(keys.map((key) => attempt((signal) => look(key, signal))));
      if (stopping.signal.aborted) return;
      const { firstMs, growth, lastMs } = RENDEZVOUS_LIMITS;
      wait = wait === 0 ? firstMs : Math.min(wait * growth, lastMs);
      await pause(wait * (0.5 + components.random() / 2));
    }
  }

  return {
    start() {
      if (loop !== undefined) return;
      stopping = new AbortController();
      loop = run();
    },
    async stop() {
      stopping.abort();
      wakeUp();
      await loop;
      loop = undefined;
    },
    hurry() {
      wait = 0;
      wakeUp();
    },
  };
}
