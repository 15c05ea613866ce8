import type { Coverage } from '../protocols/digest/coverage.ts';
import type { Identity, PeerId } from '../protocols/wire/identity.ts';
import type { Channel } from '../protocols/wire/ids.ts';
import type { Logger } from './logger.ts';
import { machine, type Outside } from './outside.ts';
import { PartList } from './parts.ts';
import { defineBase } from './parts/base.ts';
import { defineCore } from './parts/core.ts';
import { defineNetwork } from './parts/network.ts';
import type { Settings } from './settings.ts';

/** Starts one node, from its storage to its network; what stands on it is in `services.ts`. Everything that was started is stopped again when a later part fails. */
export async function createNode(
  settings: Settings,
  identity: Identity,
  logger: Logger,
  other: Partial<Outside> = {},
) {
  const outside: Outside = { ...machine, ...other };
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
    digestOf: (author: PeerId, covers?: Coverage): string => store.digests.ownerDigest(author, covers),
    mayHold: (peer: string, channel: Channel): boolean => participants.mayHold(peer, channel),
    hooks,
    stop: () => parts.stop(),
  };
}

/** What a running node shows; each part names what it uses of it. */
export type Node = Awaited<ReturnType<typeof createNode>>;
