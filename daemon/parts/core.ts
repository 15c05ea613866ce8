import { Offences } from '../../protocols/mycelium/offences.ts';
import { createParticipants } from '../participants.ts';
import type { PartList } from '../parts.ts';
import { createWriteRefusal } from '../write-refusal.ts';
import type { Base } from './base.ts';
import { defineGuard, defineTableCheck } from './guard.ts';
import { defineLedger } from './ledger.ts';
import { defineEvents, defineRegistry, defineRejoin } from './registry.ts';
import { defineDatabase, defineMerger, defineOutbox, defineOwnMerger, defineStore } from './storage.ts';

/** Storage, registry, and the ledger: a node without a network, and everything that its network needs. */
export function defineCore(parts: PartList, base: Base) {
  const { self, hooks } = base;
  const participants = createParticipants(self);
  const offences = new Offences();
  hooks.registered.on('offences', ({ peerId, status }) => {
    if (status !== 'active') offences.forgive(peerId);
  });
  const database = parts.add(defineDatabase(base));
  const refusal = createWriteRefusal(() => database.face);
  const merger = parts.add(defineMerger(base));
  const ownMerger = parts.add(defineOwnMerger(base));
  const store = parts.add(defineStore({ ...base, database, merger, participants }));
  const outbox = parts.add(defineOutbox({ ...base, database }));
  const events = parts.add(defineEvents({ ...base, database }));
  const registry = parts.add(defineRegistry({ ...base, database }));
  const rejoin = parts.add(defineRejoin({ ...base, database, registry }));
  const ledger = parts.add(defineLedger({ ...base, store, merger, ownMerger, registry, refusal }));
  parts.add(defineGuard({ ...base, database, store, ledger, refusal }));
  parts.add(defineTableCheck({ ...base, database }));
  return {
    participants,
    offences,
    database,
    refusal,
    merger,
    store,
    outbox,
    events,
    registry,
    rejoin,
    ledger,
  };
}

export type Core = ReturnType<typeof defineCore>;
