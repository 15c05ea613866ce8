import { MemoryDatastore } from 'datastore-core/memory';

type Key = Parameters<MemoryDatastore['put']>[0];

/**
 * How many entries of each kind libp2p may keep in memory. Strangers write here (provider records, public keys, identify data), and
 * kad-dht itself has no quota; what is dropped is found or provided again.
 */
const KEPT: readonly (readonly [prefix: string, entries: number])[] = [
  ['/dht/provider/', 8192],
  ['/dht/record/', 512],
  ['/peers/', 4096],
];
const KEPT_OTHER = 1024;

/** libp2p's datastore in memory, bounded per kind; the entry written longest ago goes first. */
export class DhtStore extends MemoryDatastore {
  readonly #written = new Map<string, Map<string, Key>>();

  override put(key: Key, value: Uint8Array): Key | Promise<Key> {
    const name = key.toString();
    const [prefix, most] = KEPT.find(([start]) => name.startsWith(start)) ?? ['', KEPT_OTHER];
    let kind = this.#written.get(prefix);
    if (kind === undefined) this.#written.set(prefix, (kind = new Map()));
    kind.delete(name);
    kind.set(name, key);
    for (const [oldName, old] of kind) {
      if (kind.size <= most) break;
      kind.delete(oldName);
      void super.delete(old);
    }
    return super.put(key, value);
  }

  override delete(key: Key): void | Promise<void> {
    const name = key.toString();
    for (const kind of this.#written.values()) kind.delete(name);
    return super.delete(key);
  }
}
