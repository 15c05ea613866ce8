import { AgrinetError } from '../errors.ts';
import { dueAt } from '../wire/deadlines.ts';
import { REGISTRY_LIMITS } from './registry.ts';
import { REGISTRATION_WINDOW_MS } from './addressed.ts';

/** Where used nonces are kept, so that a restart forgets none. `until` in milliseconds since 1970. */
export interface NonceStore {
  load(): Promise<[id: string, until: number][]>;
  /** On disk when it resolves. */
  save(id: string, until: number, expired: readonly string[]): Promise<void>;
}

export interface Nonces {
  /** Uses a nonce up, with the key of `by` if it was not the operator's. Throws `registration-replayed` or `registry-full`. */
  use(caller: string, nonce: string, now: number, by?: string): Promise<void>;
}

/**
 * Each signed registration counts once: nonces are kept for twice the window in which their statement is good, by a clock (`cautious`)
 * that no step forward shortens.
 */
export async function createNonces(store: NonceStore, cautious?: () => number): Promise<Nonces> {
  // Oldest first, because all are kept equally long.
  const used = new Map((await store.load()).sort(([, a], [, b]) => a - b));
  /** By whose key, and how many of each: since the start only, which a flood cannot choose. */
  const askers = new Map<string, string>();
  const counts = new Map<string, number>();
  const count = (by: string, change: number): void => {
    const left = (counts.get(by) ?? 0) + change;
    if (left > 0) counts.set(by, left);
    else counts.delete(by);
  };
  return {
    async use(caller, nonce, at, by) {
      const now = cautious?.() ?? at;
      const expired: string[] = [];
      for (const [id, until] of used) {
        if (dueAt(until, now, 2 * REGISTRATION_WINDOW_MS) > now) break;
        expired.push(id);
      }
      for (const id of expired) {
        used.delete(id);
        const asker = askers.get(id);
        if (asker !== undefined) count(asker, -1);
        askers.delete(id);
      }
      const id = `${caller}|${nonce}`;
      if (used.has(id))
        throw new AgrinetError(
          'registration-replayed',
          'this registration was already used; run agrinet join again',
        );
      const many = by !== undefined && (counts.get(by) ?? 0) >= REGISTRY_LIMITS.noncesPerAsker;
      if (many || used.size >= REGISTRY_LIMITS.nonces)
        throw new AgrinetError('registry-full', 'too many registrations at once; try again in ten minutes');
      const until = now + 2 * REGISTRATION_WINDOW_MS;
      if (by !== undefined) {
        askers.set(id, by);
        count(by, 1);
      }
      used.set(id, until); // before the disk: a second use that comes meanwhile is one
      await store.save(id, until, expired);
    },
  };
}
