import { effectiveCheckpoint } from '../../protocols/checkpoint/effective.ts';
import type { Checkpoint } from '../../protocols/feed/checkpoint.ts';
import { type Env, pause } from '../../protocols/env.ts';
import { AgrinetError, errorCode } from '../../protocols/errors.ts';
import { CATCH_UP_LIMITS } from '../../protocols/mycelium/catch-up.ts';
import { type FailureParts, peerFailed } from '../../protocols/mycelium/pull-event.ts';
import { askCheckpoints } from '../../protocols/mycelium/snapshot-asking.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import type { FetchedTable } from '../../storage/fetched-table.ts';
import type { FetchedSnapshot } from './fetched-snapshot.ts';
import type { HeldShortly } from './held-shortly.ts';
import { SNAPSHOT_FETCH_LIMITS } from './limits.ts';
import { SnapshotFetch } from './snapshot-fetch.ts';
import { type HoldersParts, SnapshotHolders, unavailable } from './snapshot-holders.ts';

export interface SnapshotsParts extends FailureParts, Pick<HoldersParts, 'askPeer'> {
  readonly env: Pick<Env, 'after' | 'cpu' | 'deadline' | 'monotonic' | 'offload'>;
  readonly held: HeldShortly;
  readonly net: string;
  readonly table: FetchedTable;
  /** Registered nodes that can be asked for what is known of this author, the author’s own first. */
  readonly peers: (author: PeerId) => readonly string[];
  /** Bytes that may still be kept of an author. */
  readonly room: (author: PeerId) => number;
}

const ASKED_TWICE = 2;

/** Finds and fetches snapshots of the checkpoints of others. */
export class Snapshots {
  readonly #parts: SnapshotsParts;
  readonly #stopping = new AbortController();
  readonly #flights = new Map<PeerId, Promise<FetchedSnapshot>>();

  constructor(parts: SnapshotsParts) {
    this.#parts = parts;
  }

  /**
   * The checkpoint of an author to begin with, from what is held here and what holders show; undefined where nobody has one. Throws
   * `checkpoint-contested`, and `snapshot-unavailable` when none of those asked has answered.
   */
  async effective(author: PeerId, outer: AbortSignal): Promise<Checkpoint | undefined> {
    const { held, peers, offences, now } = this.#parts;
    const known = new Map<string, Checkpoint>();
    for (const each of (await held.of(author)).next) known.set(each.id, each);
    const asked = peers(author).filter((peer) => !offences.isOut(peer, now()));
    let answered = 0;
    for (const peer of asked.slice(0, SNAPSHOT_FETCH_LIMITS.asked)) {
      const shown = await this.#shownBy(peer, author, outer);
      if (shown !== undefined) answered++;
      for (const each of shown ?? []) known.set(each.id, each);
    }
    if (answered === 0 && asked.length > 0) throw unavailable();
    const found = effectiveCheckpoint(known.values());
    if (found?.contested === true) throw contested();
    return found?.checkpoint;
  }

  /**
   * The whole snapshot of a checkpoint, verified. Throws `checkpoint-contested`, `busy` when as many are fetched as may be, and what `SnapshotFetch`
   * throws.
   */
  fetch(
    checkpoint: Checkpoint,
    outer: AbortSignal,
    onProgress?: (done: number, total: number) => void,
  ): Promise<FetchedSnapshot> {
    const { author } = checkpoint;
    if (this.#flights.has(author) || this.#flights.size >= SNAPSHOT_FETCH_LIMITS.fetching)
      return Promise.reject(new AgrinetError('busy', 'as many snapshots are being fetched as may be'));
    const signal = AbortSignal.any([outer, this.#stopping.signal]);
    const flight = this.#fetch(checkpoint, signal, onProgress).finally(() => this.#flights.delete(author));
    this.#flights.set(author, flight);
    return flight;
  }

  /** Records of these authors were erased: what was fetched of them may hold what they said. */
  async erased(authors: Iterable<PeerId>): Promise<void> {
    for (const author of authors) if (!this.#flights.has(author)) await this.#parts.table.dropAll(author);
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.allSettled(this.#flights.values());
  }

  /** The checkpoints that one peer shows; undefined when it cannot be asked, also not a moment later. */
  async #shownBy(peer: string, author: PeerId, outer: AbortSignal): Promise<Checkpoint[] | undefined> {
    const { net, askPeer, env, offences, now } = this.#parts;
    const ending = AbortSignal.any([outer, this.#stopping.signal]);
    for (let tries = 0; tries < ASKED_TWICE && !offences.isOut(peer, now()); tries++) {
      // A connection may just have been replaced by another.
      if (tries > 0) await pause(env, CATCH_UP_LIMITS.retryMs, ending);
      const signal = AbortSignal.any([ending, env.deadline(SNAPSHOT_FETCH_LIMITS.askMs)]);
      try {
        return await askCheckpoints((request) => askPeer(peer, request, signal), author, net);
      } catch (error) {
        ending.throwIfAborted();
        peerFailed(this.#parts, peer, errorCode(error));
      }
    }
    return undefined;
  }

  async #fetch(
    checkpoint: Checkpoint,
    signal: AbortSignal,
    onProgress?: (done: number, total: number) => void,
  ): Promise<FetchedSnapshot> {
    const { author } = checkpoint;
    const { env, table, peers, askPeer, offences, now, onEvent, room } = this.#parts;
    await this.#mustBeAlone(checkpoint);
    const holders = new SnapshotHolders({
      env,
      offences,
      now,
      onEvent,
      askPeer,
      peers: () => peers(author),
    });
    const parts = {
      env,
      table,
      holders,
      room: room(author),
      ...(onProgress === undefined ? {} : { onProgress }),
    };
    const snapshot = await new SnapshotFetch(parts, checkpoint, signal).run();
    await this.#mustBeAlone(checkpoint);
    return snapshot;
  }

  /** Another one may have come that is in force, or stands beside it. */
  async #mustBeAlone({ author, id }: Checkpoint): Promise<void> {
    const { effective } = await this.#parts.held.of(author);
    if (effective === undefined || (effective.checkpoint.id === id && !effective.contested)) return;
    throw contested();
  }
}

function contested(): AgrinetError {
  return new AgrinetError(
    'checkpoint-contested',
    'its author has signed another checkpoint beside this one, or one that takes its place',
  );
}
