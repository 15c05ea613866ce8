import type { SignedRequest } from '../../api/ports/sync-target.ts';
import type { Env } from '../../protocols/env.ts';
import type { Registry } from '../../protocols/registry/registry.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import type { StreamHost } from '../../protocols/wire/stream.ts';
import type { Face } from '../parts.ts';
import type { Node } from '../parts/running.ts';
import { FeedRequests } from './feed-requests.ts';
import type { GuardedAnswer, GuardedFetch } from './guarded-fetch.ts';
import type { Registration } from './registration.ts';
import { type Question, SourceAsker } from './source-asker.ts';
import type { agrinetdSource } from './sources.ts';

export type HolderNode = Pick<
  Node,
  'identity' | 'settings' | 'clock' | 'env' | 'host' | 'registry' | 'offences' | 'fetch'
>;

/** How other nodes are asked for what they hold: over a connection that is there, or over HTTPS. */
export interface HolderParts {
  readonly env: Pick<Env, 'after' | 'deadline' | 'monotonic'>;
  readonly libp2p: Pick<StreamHost, 'getConnections'>;
  readonly registry: Pick<Registry, 'get'>;
  readonly requests: Pick<FeedRequests, 'attachment' | 'snapshot'>;
  readonly fetch: GuardedFetch;
  readonly renewCertificate: (peer: PeerId) => Promise<string>;
}

export function holderParts(
  { identity, settings, clock, env, host, registry, offences, fetch }: HolderNode,
  registration: Face<Pick<Registration, 'renewCertificate'>>,
): HolderParts {
  const isDistrusted = (id: string): boolean => offences.isOut(id, clock.steady());
  const net = settings.myceliumNetwork;
  return {
    env,
    libp2p: host.streams,
    registry,
    requests: new FeedRequests({ env, identity, net, isDistrusted, now: clock.now }),
    fetch,
    renewCertificate: (peer) => registration.face.renewCertificate(peer),
  };
}

/** Registered nodes that may be asked for what an author has signed: its own first. */
export function nodesToAsk(
  { identity, registry }: Pick<Node, 'identity' | 'registry'>,
  author: PeerId,
  may: (peer: PeerId) => boolean,
): string[] {
  const nodes = registry.list().flatMap(({ peerId, status }) => (status === 'active' ? [peerId] : []));
  const asked = nodes.filter((peer) => peer !== identity.peerId && may(peer));
  return [...asked.filter((peer) => peer === author), ...asked.filter((peer) => peer !== author)];
}

/** One question to one node over HTTPS. Throws what `SourceAsker` throws. */
export function askOverHttps(
  { fetch, renewCertificate }: Pick<HolderParts, 'fetch' | 'renewCertificate'>,
  source: NonNullable<ReturnType<typeof agrinetdSource>>,
  request: SignedRequest,
  question: Question,
): Promise<GuardedAnswer> {
  const asker = new SourceAsker({ fetch, target: { renewCertificate } }, { ...source, request });
  return asker.ask(request, question);
}
