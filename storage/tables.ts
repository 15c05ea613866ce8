import type { RegisteredNode, RegistryStore } from '../protocols/registry/registry.ts';
import type { AddressStore, StoredAddresses } from '../protocols/discovery/address-book.ts';
import type { Database } from './database.ts';
import { type BatchOp, fullKey, range } from './keyspace.ts';
import { openJson, sealJson } from './values.ts';

/** The operator's registry: not derived from feeds, and not in any digest. */
export function registryStore(db: Database): RegistryStore {
  return {
    async load() {
      const nodes: RegisteredNode[] = [];
      for await (const [key, value] of db.level.iterator(range('registry')))
        nodes.push(openJson<RegisteredNode>(key, value));
      return nodes;
    },
    async save(node) {
      const key = fullKey('registry', node.peerId);
      await db.batch([{ type: 'put', key, value: sealJson(key, node) }], true);
    },
  };
}

/** Where peers were last seen; losing it costs a look-up. */
export function addressStore(db: Database): AddressStore {
  return {
    async load() {
      const peers: StoredAddresses[] = [];
      for await (const [key, value] of db.level.iterator(range('addresses')))
        peers.push(openJson<StoredAddresses>(key, value));
      return peers;
    },
    async save(peers) {
      const ops: BatchOp[] = [];
      const kept = new Set<string>();
      for (const peer of peers) {
        const key = fullKey('addresses', peer.peerId);
        kept.add(key);
        ops.push({ type: 'put', key, value: sealJson(key, peer) });
      }
      for await (const key of db.level.keys(range('addresses')))
        if (!kept.has(key)) ops.push({ type: 'del', key });
      await db.batch(ops, false);
    },
  };
}
