import {
  type AttachmentProtocol,
  type AttachmentProtocolParts,
  createAttachmentProtocol,
} from '../../protocols/mycelium/attachment-protocol.ts';
import { errorCode } from '../../protocols/errors.ts';
import { type FailureParts, peerFailed } from '../../protocols/mycelium/pull-event.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import type { Reader } from '../../storage/reader.ts';
import { askPeer } from '../attachments/ask-peer.ts';
import { Attachments } from '../attachments/attachments.ts';
import { Collector } from '../attachments/collector.ts';
import { Fetches, type Wanted } from '../attachments/fetches.ts';
import { FeedRequests } from '../federation/feed-requests.ts';
import type { Registration } from '../federation/registration.ts';
import { definePart, type Face } from '../parts.ts';
import { authorQuota } from '../quotas.ts';
import type { Node } from './running.ts';

type AttachmentsNode = Pick<
  Node,
  | 'identity'
  | 'settings'
  | 'clock'
  | 'env'
  | 'hooks'
  | 'host'
  | 'store'
  | 'registry'
  | 'offences'
  | 'refusal'
  | 'fetch'
  | 'mayHold'
  | 'logger'
>;

export interface AttachmentsComponents {
  readonly reader: Face<Reader>;
  readonly registration: Face<Pick<Registration, 'renewCertificate'>>;
}

/** Pictures and files that listings and messages name: kept beside the feeds, given to those who may have them, fetched on demand. */
export function defineAttachments(node: AttachmentsNode, { reader, registration }: AttachmentsComponents) {
  return definePart<Attachments>('attachments', async () => {
    const { identity, env, clock, hooks, host, store, registry, mayHold, logger, refusal } = node;
    const self = identity.peerId;
    const table = store.attachments;
    const failures: FailureParts = { offences: node.offences, now: clock.steady, onEvent: hooks.pulled.emit };
    const protocol = protocolOf(node, failures, (peer, request) => attachments.answer(peer, request));
    const fetches = fetchesOf(node, failures, protocol, registration);
    const attachments = new Attachments({
      self,
      env,
      table,
      fetches,
      record: (key) => reader.face.get(key),
      mayHold,
      room: roomOf(node),
      refusal: () => refusal.get(),
      log: (message, fields) => logger.warn(fields, message),
    });
    const collector = new Collector({
      collect: () => table.collect(self, env.now()),
      env,
      log: (message, fields) => logger.warn(fields, message),
    });
    hooks.committed.on('attachments', ({ changes }) => {
      if (table.leaves(changes)) collector.wake();
    });
    hooks.recovered.on('attachments', () => collector.wake());
    host.onConnection(({ remotePeer }) => {
      if (registry.isActive(remotePeer.toString())) fetches.reachable();
    });
    await protocol.start();
    collector.wake();
    return {
      face: attachments,
      async stop() {
        await protocol.stop();
        await fetches.stop();
        await collector.stop();
      },
    };
  });
}

function protocolOf(
  { env, host, registry, settings }: AttachmentsNode,
  failures: FailureParts,
  answer: AttachmentProtocolParts['answer'],
): AttachmentProtocol {
  const parts: AttachmentProtocolParts = {
    env,
    libp2p: host.streams,
    access: { mayReplicate: (peer) => registry.isActive(peer) },
    answer,
    onFailure: (peer, error) => peerFailed(failures, peer, errorCode(error), { private: true }),
  };
  return createAttachmentProtocol(parts, settings.myceliumNetwork);
}

function fetchesOf(
  node: AttachmentsNode,
  failures: FailureParts,
  streams: AttachmentProtocol,
  registration: AttachmentsComponents['registration'],
): Fetches {
  const { env, host, registry, fetch } = node;
  return new Fetches({
    ...failures,
    env,
    holders: (wanted) => holders(node, wanted),
    ask: askPeer({
      env,
      libp2p: host.streams,
      streams,
      registry,
      requests: requestsOf(node),
      fetch,
      renewCertificate: (peer) => registration.face.renewCertificate(peer),
    }),
  });
}

/** Whom to ask: the author’s node first, then whoever follows it too; of a private channel its participants alone. */
function holders({ identity, registry, mayHold }: AttachmentsNode, { owner, channel }: Wanted): string[] {
  const nodes = registry.list().flatMap(({ peerId, status }) => (status === 'active' ? [peerId] : []));
  const may = nodes.filter(
    (peer) => peer !== identity.peerId && (channel === 'public' || mayHold(peer, channel)),
  );
  return [...may.filter((peer) => peer === owner), ...may.filter((peer) => peer !== owner)];
}

function requestsOf({ env, identity, settings, offences, clock }: AttachmentsNode): FeedRequests {
  const isDistrusted = (id: string): boolean => offences.isOut(id, clock.steady());
  return new FeedRequests({ env, identity, net: settings.myceliumNetwork, isDistrusted, now: clock.now });
}

/** An author's attachments count in its quota, beside its entries; own uploads have one of their own. */
function roomOf({ identity, settings, registry, store }: AttachmentsNode): (author: PeerId) => number {
  const quota = authorQuota(settings, registry);
  const own = settings.attachmentQuotaMb === 0 ? Infinity : settings.attachmentQuotaMb * 1024 * 1024;
  return (author) => (author === identity.peerId ? own : quota(author).bytes - store.usage.of(author).bytes);
}
