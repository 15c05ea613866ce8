import { type Env, pause } from '../../protocols/env.ts';
import { AgrinetError, errorCode } from '../../protocols/errors.ts';
import { CATCH_UP_LIMITS } from '../../protocols/mycelium/catch-up.ts';
import { type FailureParts, peerFailed } from '../../protocols/mycelium/pull-event.ts';
import type { AskSnapshot } from '../../protocols/mycelium/snapshot-asking.ts';
import type { SnapshotRequest } from '../../protocols/mycelium/snapshot-request.ts';

export interface HoldersParts extends FailureParts {
  readonly env: Pick<Env, 'after'>;
  /** Registered nodes that can be asked now, the best first. */
  readonly peers: () => readonly string[];
  /** The frames of a peer's answer, over whatever way there is. */
  readonly askPeer: (
    peer: string,
    request: SnapshotRequest,
    signal: AbortSignal,
  ) => AsyncGenerator<Uint8Array>;
}

/** One holder that is asked. */
export interface Asker {
  readonly peer: string;
  readonly ask: AskSnapshot;
  /** Something of it was good: earlier failures do not count any more. */
  readonly onProgress: () => void;
  readonly onFailure: (error: unknown) => void;
  /** Whether another one can be asked. */
  readonly hasOthers: () => boolean;
}

/** Whom to ask for one snapshot: the best that has not failed, and each a few times at the most without anything coming of it. */
export class SnapshotHolders {
  readonly #parts: HoldersParts;
  readonly #fails = new Map<string, number>();
  readonly #left = new Set<string>();

  constructor(parts: HoldersParts) {
    this.#parts = parts;
  }

  /** Asks one after another until a step is done. Throws `snapshot-unavailable` when nobody is left. */
  async fromAny(signal: AbortSignal, step: (asker: Asker) => Promise<boolean>): Promise<void> {
    for (;;) {
      signal.throwIfAborted();
      const asker = this.#next(signal);
      if (asker === undefined) throw unavailable();
      const failed = this.#fails.get(asker.peer) ?? 0;
      if (failed > 0) await pause(this.#parts.env, CATCH_UP_LIMITS.retryMs, signal);
      try {
        if (await step(asker)) return;
        // It has none of it: nothing is wrong, and nothing comes of asking again.
        this.#fails.set(asker.peer, CATCH_UP_LIMITS.tries);
      } catch (error) {
        signal.throwIfAborted();
        asker.onFailure(error);
      }
    }
  }

  /** One that can be asked besides this one. */
  another(peer: string, signal: AbortSignal): Asker | undefined {
    return this.#next(signal, peer);
  }

  /** Leaves these out from now on; whether anybody is left. */
  without(peers: ReadonlySet<string>): boolean {
    for (const peer of peers) this.#left.add(peer);
    return this.#candidates().length > 0;
  }

  /** What those that were left out have sent was wrong: what others sent is right. */
  refuted(): void {
    for (const peer of this.#left) peerFailed(this.#parts, peer, 'snapshot-differs');
    this.#left.clear();
  }

  #candidates(): readonly string[] {
    const { peers, offences, now } = this.#parts;
    return peers().filter(
      (peer) =>
        !this.#left.has(peer) &&
        !offences.isOut(peer, now()) &&
        (this.#fails.get(peer) ?? 0) < CATCH_UP_LIMITS.tries,
    );
  }

  #next(signal: AbortSignal, except?: string): Asker | undefined {
    const fails = (peer: string): number => this.#fails.get(peer) ?? 0;
    const [peer] = this.#candidates()
      .filter((each) => each !== except)
      .sort((a, b) => fails(a) - fails(b));
    return peer === undefined ? undefined : this.#asker(peer, signal);
  }

  #asker(peer: string, signal: AbortSignal): Asker {
    return {
      peer,
      ask: (request) => this.#parts.askPeer(peer, request, signal),
      onProgress: () => void this.#fails.delete(peer),
      onFailure: (error) => {
        this.#fails.set(peer, (this.#fails.get(peer) ?? 0) + 1);
        peerFailed(this.#parts, peer, errorCode(error));
      },
      hasOthers: () => this.#candidates().some((each) => each !== peer),
    };
  }
}

export function unavailable(): AgrinetError {
  return new AgrinetError(
    'snapshot-unavailable',
    'no node that can be reached now has this snapshot; it is asked for again later',
  );
}
