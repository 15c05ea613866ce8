import type { Coverage } from '../protocols/digest/coverage.ts';
import type { Discovery } from '../protocols/discovery/discovery.ts';
import type { Env } from '../protocols/env.ts';
import type { Ledger } from '../protocols/ledger/types.ts';
import type { Mycelium } from '../protocols/mycelium/mycelium.ts';
import type { Offences } from '../protocols/mycelium/offences.ts';
import type { Rejoin } from '../protocols/mycelium/rejoin.ts';
import type { Merges } from '../protocols/open-dialog/merger.ts';
import type { Registry } from '../protocols/registry/registry.ts';
import type { AddressPolicy } from '../protocols/wire/address-policy.ts';
import type { Identity, PeerId } from '../protocols/wire/identity.ts';
import type { Channel } from '../protocols/wire/ids.ts';
import type { Database } from '../storage/database.ts';
import type { Outbox } from '../storage/outbox.ts';
import type { Store } from '../storage/store.ts';
import type { EventLogs } from './events/event-logs.ts';
import type { GuardedFetch } from './federation/guarded-fetch.ts';
import type { Hooks } from './hooks.ts';
import type { Host } from './libp2p-host.ts';
import type { Logger } from './logger.ts';
import type { NodeClock } from './node-clock.ts';
import { machine, type Outside } from './outside.ts';
import { PartList } from './parts.ts';
import { type Base, defineBase } from './parts/base.ts';
import { defineCore } from './parts/core.ts';
import { defineNetwork } from './parts/network.ts';
import type { Settings } from './settings.ts';
import type { WriteRefusal } from './write-refusal.ts';

/** The running parts of one node, for the HTTP API and for tests. */
export interface Node {
  readonly settings: Settings;
  readonly identity: Identity;
  /** Time, waiting and chance; its `now` is the clock's. */
  readonly env: Env;
  readonly clock: NodeClock;
  readonly store: Store;
  readonly db: Database;
  /** Of the DynamoDB mirror; undefined when that is off. */
  readonly outbox: Outbox | undefined;
  readonly ledger: Ledger;
  readonly registry: Registry;
  readonly host: Host;
  readonly discovery: Discovery;
  readonly mycelium: Mycelium;
  /** Peers that are left alone because of what they have sent, over libp2p or HTTPS. */
  readonly offences: Offences;
  readonly refusal: WriteRefusal;
  readonly alarms: Base['alarms'];
  readonly events: EventLogs;
  /** Whether this node may promise something, or may have lost what it promised. */
  readonly rejoin: Rejoin;
  /** Merges documents, off the main thread. */
  readonly merges: Merges;
  /** The only way out over HTTP to other nodes, and where it may lead. */
  readonly fetch: GuardedFetch;
  readonly policy: AddressPolicy;
  readonly logger: Logger;
  digestOf(author: PeerId, covers?: Coverage): string;
  mayHold(peer: string, channel: Channel): boolean;
  readonly hooks: Hooks;
  stop(): Promise<void>;
}

/** Composes one node. Everything that was started is stopped again when a later part fails. */
export async function createNode(
  settings: Settings,
  identity: Identity,
  logger: Logger,
  other: Partial<Outside> = {},
): Promise<Node> {
  const outside = { ...machine, ...other };
  const parts = new PartList(outside.env, logger);
  const base = defineBase(parts, { settings, identity, logger, outside });
  const core = defineCore(parts, base);
  const network = defineNetwork(parts, base, core);
  await parts.start();
  const { clock, env, hooks, alarms } = base;
  const { participants, offences, refusal } = core;
  const store = core.store.face;
  return {
    settings,
    identity,
    env,
    clock,
    store,
    db: core.database.face,
    outbox: core.outbox.face,
    ledger: core.ledger.face,
    registry: core.registry.face,
    host: network.host.face,
    discovery: network.discovery.face,
    mycelium: network.mycelium.face,
    offences,
    refusal,
    alarms,
    events: core.events.face,
    rejoin: core.rejoin.face,
    merges: core.merger.face,
    fetch: network.fetch,
    policy: network.policy,
    logger,
    digestOf: (author, covers) => store.digests.ownerDigest(author, covers),
    mayHold: (peer, channel) => participants.mayHold(peer, channel),
    hooks,
    stop: () => parts.stop(),
  };
}
