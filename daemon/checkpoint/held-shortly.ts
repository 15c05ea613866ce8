import { LRUCache } from 'lru-cache';
import type { Env } from '../../protocols/env.ts';
import { soleTurn } from '../../protocols/ledger/turn.ts';
import { atMost } from '../../protocols/lru-bound.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import type { Store } from '../../storage/store.ts';
import { type HeldCheckpoints, heldCheckpoints } from './held.ts';

/** How long what was found is told again, milliseconds: requests for a snapshot follow one another. */
const SHORTLY_MS = 5000;
/** Authors of whom it is kept. */
const KEPT = 16;

/** What is held of an author’s checkpoints now, or was a moment ago: going through thousands of them for each request would cost seconds. */
export class HeldShortly {
  readonly #store: Pick<Store, 'checkpoints' | 'checkpointAt'>;
  readonly #net: string;
  readonly #env: Pick<Env, 'after' | 'cpu' | 'monotonic'>;
  readonly #found = new LRUCache<PeerId, { readonly at: number; readonly held: Promise<HeldCheckpoints> }>(
    atMost(KEPT),
  );

  constructor(
    store: Pick<Store, 'checkpoints' | 'checkpointAt'>,
    net: string,
    env: Pick<Env, 'after' | 'cpu' | 'monotonic'>,
  ) {
    this.#store = store;
    this.#net = net;
    this.#env = env;
  }

  of(author: PeerId): Promise<HeldCheckpoints> {
    const now = this.#env.monotonic();
    const known = this.#found.get(author);
    if (known !== undefined && now - known.at < SHORTLY_MS) return known.held;
    const held = heldCheckpoints(this.#store, author, this.#net, soleTurn(this.#env));
    this.#found.set(author, { at: now, held });
    held.catch(() => this.#found.delete(author));
    return held;
  }
}
