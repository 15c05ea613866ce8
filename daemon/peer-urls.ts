import { z } from 'zod';
import type { Env, Timer } from '../protocols/env.ts';
import { errorCode } from '../protocols/errors.ts';
import { parsePeerId } from '../protocols/wire/identity.ts';
import { ask } from './federation/ask-node.ts';
import type { GuardedFetch } from './federation/guarded-fetch.ts';
import type { Logger } from './logger.ts';

const answer = z.object({ peerId: z.string(), multiaddrs: z.array(z.string().max(256)).max(16) });

/** Nodes that are started together find one another within seconds. */
const FIRST_RETRY_MS = 2000;
/** For a node that is unreachable for long, one request in this time is no load for either side. */
const LONGEST_RETRY_MS = 5 * 60_000;
/** A node may have moved: it is asked again now and then. */
const AGAIN_MS = 30 * 60_000;

export interface PeerUrlsParts {
  readonly urls: readonly string[];
  readonly env: Pick<Env, 'after' | 'random'>;
  readonly fetch: GuardedFetch;
  readonly onFound: (peerId: string, multiaddrs: readonly string[], url: string) => void;
  readonly logger: Pick<Logger, 'warn'>;
}

/**
 * Asks the nodes at `MYCELIUM_PEER_URLS` for their addresses; these are candidates, not members: libp2p proves their identity, so
 * any certificate will do. Returns the function that stops it.
 */
export function startPeerUrls({ urls, env, fetch, onFound, logger }: PeerUrlsParts): () => void {
  const timers = new Map<string, Timer>();
  let stopped = false;
  const later = (url: string, ms: number, wait: number): void => {
    if (!stopped)
      timers.set(
        url,
        env.after(ms * (0.75 + env.random() / 2), () => void askOne(url, wait)),
      );
  };
  async function askOne(url: string, wait: number): Promise<void> {
    try {
      const response = await ask(fetch, `${url.replace(/\/+$/, '')}/federation/identity`, {
        anyCertificate: true,
      });
      const { peerId, multiaddrs } = answer.parse(await response.json());
      if (parsePeerId(peerId) !== undefined) onFound(peerId, multiaddrs, url);
      later(url, AGAIN_MS, FIRST_RETRY_MS);
    } catch (error) {
      logger.warn({ url, code: errorCode(error), retryInMs: wait }, 'a peer URL does not answer');
      later(url, wait, Math.min(wait * 2, LONGEST_RETRY_MS));
    }
  }
  for (const url of urls) void askOne(url, FIRST_RETRY_MS);
  return () => {
    stopped = true;
    for (const timer of timers.values()) timer.cancel();
  };
}
