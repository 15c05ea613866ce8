import type { RegisteredNode, RegistryStore } from '../protocols/registry/registry.ts';
import type { HttpNode, HttpNodeStore } from '../protocols/registry/http-nodes.ts';
import type { NonceStore } from '../protocols/registry/nonces.ts';
import type { AddressStore, StoredAddresses } from '../protocols/discovery/address-book.ts';
import type { Database } from './database.ts';
import { type BatchOp, fullKey, innerKey, range } from './keyspace.ts';
import { putJson, readRows } from './values.ts';

/** The operator's registry: not derived from feeds, and not in any digest. */
export function registryStore(db: Database, onDamaged: (key: string) => void): RegistryStore {
  return {
    load: () => readRows<RegisteredNode>(db, 'registry', onDamaged),
    async save(node) {
      await db.batch([putJson(fullKey('registry', node.peerId), node)], true);
    },
  };
}

/** Nodes without an identity: separate from the registry, and like it in no digest. */
export function httpNodeStore(db: Database, onDamaged: (key: string) => void): HttpNodeStore {
  return {
    load: () => readRows<HttpNode>(db, 'httpNodes', onDamaged),
    async save(node) {
      await db.batch([putJson(fullKey('httpNodes', node.id), node)], true);
    },
    async remove(id) {
      await db.batch([{ type: 'del', key: fullKey('httpNodes', id) }], true);
    },
  };
}

/** Nonces of registrations that were used. */
export function nonceStore(db: Database): NonceStore {
  return {
    async load() {
      const found: [string, number][] = [];
      for await (const [key, value] of db.level.iterator(range('nonces')))
        found.push([innerKey(key), Number(Buffer.from(value).toString())]);
      return found.filter(([, until]) => Number.isFinite(until));
    },
    async save(id, until, expired) {
      const ops: BatchOp[] = expired.map((each) => ({ type: 'del', key: fullKey('nonces', each) }));
      ops.push({ type: 'put', key: fullKey('nonces', id), value: Buffer.from(String(until)) });
      await db.batch(ops, true);
    },
  };
}

/** Where peers were last seen; losing it costs a lookup. */
export function addressStore(db: Database): AddressStore {
  return {
    load: () => readRows<StoredAddresses>(db, 'addresses', () => undefined),
    async save(peers) {
      const ops: BatchOp[] = [];
      const kept = new Set<string>();
      for (const peer of peers) {
        const key = fullKey('addresses', peer.peerId);
        kept.add(key);
        ops.push(putJson(key, peer));
      }
      for await (const key of db.level.keys(range('addresses')))
        if (!kept.has(key)) ops.push({ type: 'del', key });
      await db.batch(ops, false);
    },
  };
}
