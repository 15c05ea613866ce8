import { createDialRule } from '../../protocols/discovery/dial-rule.ts';
import type { AddressPolicy } from '../../protocols/wire/address-policy.ts';
import { createGuardedFetch } from '../federation/guarded-fetch.ts';
import type { PartList } from '../parts.ts';
import { isLoopbackHost } from '../settings.ts';
import type { Base } from './base.ts';
import type { Core } from './core.ts';
import { defineDiscovery, definePeerUrls } from './discovery.ts';
import { defineAddressBook, defineHost } from './host.ts';
import { defineRangeReader, defineReplication } from './replication.ts';

/** The ways out: HTTP that is guarded, libp2p, replication over it, and how peers are found. */
export function defineNetwork(parts: PartList, base: Base, core: Core) {
  const { settings, outside } = base;
  const { registry } = core;
  const policy: AddressPolicy = {
    allowPrivate: settings.allowPrivatePeers,
    allowLoopback: isLoopbackHost(settings.host),
  };
  const fetch = createGuardedFetch({ ...policy, env: base.env, lookup: outside.lookup, ca: outside.ca });
  const rule = createDialRule(
    { ...policy, allowLoopback: isLoopbackHost(settings.myceliumHost) },
    (peer) => registry.face.isActive(peer),
    settings.myceliumPeers,
  );
  const book = parts.add(defineAddressBook({ ...base, ...core, rule }));
  const host = parts.add(defineHost({ ...base, registry, rule }));
  const rangeReader = parts.add(defineRangeReader(base));
  const mycelium = parts.add(defineReplication({ ...base, ...core, host, rangeReader }));
  const discovery = parts.add(defineDiscovery({ ...base, registry, book, host }));
  parts.add(definePeerUrls({ ...base, fetch, rule, discovery }));
  return { policy, fetch, host, mycelium, discovery };
}

export type Network = ReturnType<typeof defineNetwork>;
