import type { Coverage } from '../../protocols/digest/coverage.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import type { Channel } from '../../protocols/wire/ids.ts';
import type { Base } from './base.ts';
import type { Face } from '../parts.ts';
import type { Core } from './core.ts';
import type { Network } from './network.ts';

/** The ways out as parts use them; a world of the tests has a network of its own. */
type Ways = {
  readonly [Each in keyof Network]: Network[Each] extends Face<unknown> ? Face<unknown> : unknown;
};

/**
 * What base, core and network offer to the parts built on them, each of which names what it uses. What a part opens is available
 * from its start on.
 */
export function runningNode<N extends Ways>(base: Base, core: Core, network: N) {
  const { outside, settings, identity, env, clock, hooks, alarms, logger } = base;
  const { participants, offences, refusal } = core;
  return {
    outside,
    settings,
    identity,
    env,
    clock,
    hooks,
    alarms,
    logger,
    offences,
    refusal,
    fetch: network.fetch as N['fetch'],
    policy: network.policy as N['policy'],
    get store() {
      return core.store.face;
    },
    get db() {
      return core.database.face;
    },
    get outbox() {
      return core.outbox.face;
    },
    get ledger() {
      return core.ledger.face;
    },
    get registry() {
      return core.registry.face;
    },
    get events() {
      return core.events.face;
    },
    get rejoin() {
      return core.rejoin.face;
    },
    get merges() {
      return core.merger.face;
    },
    get host(): N['host']['face'] {
      return network.host.face;
    },
    get discovery(): N['discovery']['face'] {
      return network.discovery.face;
    },
    get mycelium(): N['mycelium']['face'] {
      return network.mycelium.face;
    },
    digestOf: (author: PeerId, covers?: Coverage): string =>
      core.store.face.digests.ownerDigest(author, covers),
    mayHold: (peer: string, channel: Channel): boolean => participants.mayHold(peer, channel),
  };
}

export type Node = ReturnType<typeof runningNode<Network>>;
