import { LRUCache } from 'lru-cache';
import type { Env } from '../../protocols/env.ts';
import { AgrinetError, errorCode } from '../../protocols/errors.ts';
import { atMost } from '../../protocols/lru-bound.ts';
import { peerFailed, type FailureParts, privacyOf } from '../../protocols/mycelium/pull-event.ts';
import type { AttachmentRequest } from '../../protocols/mycelium/attachment-protocol.ts';
import { sha256Hex } from '../../protocols/wire/bytes.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import type { Channel } from '../../protocols/wire/ids.ts';

export const FETCH_LIMITS = {
  /** Fetches under way; each may hold an attachment in memory. */
  fetching: 16,
  /** Of them for records of one author: whoever lists a thousand pictures that nobody has holds up nobody else’s. */
  fetchingPerAuthor: 4,
  /** The whole of one fetch, milliseconds: somebody waits for the answer. */
  fetchMs: 20_000,
  /** Peers asked in one fetch; the author’s node first. */
  peers: 8,
  /** How long nobody is asked again for what nobody had, milliseconds. */
  failedMs: 30_000,
  /** What nobody had is remembered for so many attachments. */
  failed: 1024,
} as const;

/** Bytes that a record names, and who may have them. */
export interface Wanted extends AttachmentRequest {
  readonly owner: PeerId;
  readonly channel: Channel;
}

export interface FetchParts extends FailureParts {
  readonly env: Pick<Env, 'deadline' | 'monotonic'>;
  /** Aborted when the node begins to stop: requests that wait for a fetch would keep it from that. */
  readonly closing: AbortSignal;
  /** Peers who may hold what a channel’s records name, and are to be asked, the best first. */
  readonly holders: (wanted: Wanted) => readonly string[];
  /** What a peer gives, over whatever way there is; undefined when it has nothing to give. */
  readonly ask: (peer: string, wanted: Wanted, signal: AbortSignal) => Promise<Uint8Array | undefined>;
}

/** Gets attachments from other nodes: each once however many ask, a bounded number at a time, and nobody twice in a row in vain. */
export class Fetches {
  readonly #parts: FetchParts;
  readonly #stopping = new AbortController();
  readonly #ending: AbortSignal;
  readonly #flights = new Map<string, { readonly owner: PeerId; readonly bytes: Promise<Uint8Array> }>();
  readonly #failed = new LRUCache<string, number>(atMost(FETCH_LIMITS.failed));

  constructor(parts: FetchParts) {
    this.#parts = parts;
    this.#ending = AbortSignal.any([this.#stopping.signal, parts.closing]);
  }

  /** Throws `attachment-unavailable`, and `busy` when as many are under way as may be. */
  get(wanted: Wanted): Promise<Uint8Array> {
    // By record: whoever lists somebody else’s picture is asked about its own listing, and its answer says nothing of the other.
    const name = `${wanted.sha256} ${wanted.record}`;
    const known = this.#flights.get(name);
    if (known !== undefined) return known.bytes;
    const now = this.#parts.env.monotonic();
    if (now < (this.#failed.get(name) ?? -Infinity)) return Promise.reject(unavailable());
    const ofOwner = [...this.#flights.values()].filter(({ owner }) => owner === wanted.owner).length;
    if (this.#flights.size >= FETCH_LIMITS.fetching || ofOwner >= FETCH_LIMITS.fetchingPerAuthor)
      return Promise.reject(
        new AgrinetError('busy', 'too many attachments are being fetched; try again in a moment'),
      );
    const bytes = this.#fetch(wanted)
      .catch((error: unknown) => {
        if (errorCode(error) === 'attachment-unavailable')
          this.#failed.set(name, this.#parts.env.monotonic() + FETCH_LIMITS.failedMs);
        throw error;
      })
      .finally(() => this.#flights.delete(name));
    this.#flights.set(name, { owner: wanted.owner, bytes });
    return bytes;
  }

  /** Somebody can be asked who could not before. */
  reachable(): void {
    this.#failed.clear();
  }

  async #fetch(wanted: Wanted): Promise<Uint8Array> {
    const { env, holders, ask, offences, now } = this.#parts;
    const signal = AbortSignal.any([this.#ending, env.deadline(FETCH_LIMITS.fetchMs)]);
    const peers = holders(wanted).filter((peer) => !offences.isOut(peer, now()));
    for (const peer of peers.slice(0, FETCH_LIMITS.peers)) {
      if (signal.aborted) break;
      try {
        const bytes = await ask(peer, wanted, signal);
        if (bytes === undefined) continue;
        if (sha256Hex(bytes) === wanted.sha256) return bytes;
        throw new AgrinetError('attachment-differs', 'what a peer gave for an attachment has another hash');
      } catch (error) {
        if (!this.#ending.aborted) peerFailed(this.#parts, peer, errorCode(error), privacyOf(wanted.channel));
      }
    }
    throw unavailable();
  }

  /** Ends what is under way. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.allSettled([...this.#flights.values()].map(({ bytes }) => bytes));
  }
}

function unavailable(): AgrinetError {
  return new AgrinetError(
    'attachment-unavailable',
    'no node that can be reached now has this attachment; try again later',
  );
}
