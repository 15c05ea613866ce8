import { LRUCache } from 'lru-cache';
import { atMost } from '../lru-bound.ts';
import { type Erasure, verifyErasure, placeOf, readErasure } from '../feed/erasure.ts';
import type { TaskScheduler } from './scheduler.ts';
import type { LedgerParts } from './types.ts';

/** Statements remembered: a range has each right before its entry. */
const REMEMBERED = 4096;

/** Erasures of entries that have not arrived yet; the oldest are dropped, and are sent again with the next pull. */
export class ReceivedErasures {
  readonly #byId = new LRUCache<string, Erasure>({
    ...atMost(REMEMBERED),
    dispose: (erasure) => this.#forgetPlace(erasure),
  });
  readonly #byPlace = new Map<string, Set<Erasure>>();

  has(id: string): boolean {
    return this.#byId.has(id);
  }

  add(erasure: Erasure): void {
    if (this.#byId.has(erasure.id)) return;
    this.#byId.set(erasure.id, erasure);
    const place = placeOf(erasure);
    const there = this.#byPlace.get(place) ?? new Set<Erasure>();
    this.#byPlace.set(place, there.add(erasure));
  }

  at(place: string): Erasure[] {
    return [...(this.#byPlace.get(place) ?? [])];
  }

  #forgetPlace(erasure: Erasure): void {
    const place = placeOf(erasure);
    const there = this.#byPlace.get(place);
    there?.delete(erasure);
    if (there?.size === 0) this.#byPlace.delete(place);
  }
}

export interface ReceiveErasureParts {
  readonly ledger: LedgerParts;
  readonly scheduler: TaskScheduler;
  readonly receivedErasures: ReceivedErasures;
}

/** Takes a statement that `from` has sent, for the entry to come. Throws what `openErasure` throws. */
export function receiveErasure(
  { ledger: { identity, following }, scheduler, receivedErasures }: ReceiveErasureParts,
  bytes: Uint8Array,
  from: string,
): Promise<'new' | 'ignored'> {
  return scheduler.run({ author: `from ${from}` }, async () => {
    // A repeated erasure costs only reading it: no signature is verified twice.
    const known = receivedErasures.has(readErasure(bytes).id);
    const erasure = known ? readErasure(bytes) : verifyErasure(bytes);
    const follows = erasure.author === identity.peerId || following.followState(erasure.author) !== 'no';
    if (follows) receivedErasures.add(erasure);
    return follows ? 'new' : 'ignored';
  });
}
