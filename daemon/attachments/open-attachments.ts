import { Attachments } from './attachments.ts';
import { askPeer } from './ask-peer.ts';
import { Fetches } from './fetches.ts';
import type { AttachmentProtocol } from '../../protocols/mycelium/attachment-protocol.ts';
import type { FailureParts } from '../../protocols/mycelium/pull-event.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import type { Reader } from '../../storage/reader.ts';
import { type HolderNode, holderParts, nodesToAsk } from '../federation/holders.ts';
import type { Registration } from '../federation/registration.ts';
import type { Face } from '../parts.ts';
import type { Node } from '../parts/running.ts';
import { authorQuota } from '../quotas.ts';

export type AttachmentsNode = HolderNode & Pick<Node, 'store' | 'refusal' | 'mayHold' | 'logger'>;

export interface AttachmentsComponents {
  readonly reader: Face<Reader>;
  readonly registration: Face<Pick<Registration, 'renewCertificate'>>;
  /** Aborted when the node begins to stop. */
  readonly closing: AbortSignal;
}

/** Attachments and what fetches them, as the first request for one opens them. */
export interface OpenAttachments {
  readonly attachments: Attachments;
  readonly fetches: Fetches;
}

export function openAttachments(
  node: AttachmentsNode,
  { reader, registration, closing }: AttachmentsComponents,
  failures: FailureParts,
  protocol: AttachmentProtocol,
): OpenAttachments {
  const { identity, clock, store, mayHold, logger, refusal } = node;
  const fetches = fetchesOf(node, { ...failures, closing }, protocol, registration);
  const attachments = new Attachments({
    self: identity.peerId,
    cautious: clock.cautious,
    table: store.attachments,
    fetches,
    record: (key) => reader.face.get(key),
    mayHold,
    room: roomOf(node),
    refusal: () => refusal.get(),
    log: (message, fields) => logger.warn(fields, message),
  });
  return { attachments, fetches };
}

function fetchesOf(
  node: AttachmentsNode,
  common: FailureParts & Pick<AttachmentsComponents, 'closing'>,
  streams: AttachmentProtocol,
  registration: AttachmentsComponents['registration'],
): Fetches {
  const { env, mayHold } = node;
  return new Fetches({
    ...common,
    env,
    holders: ({ owner, channel }) =>
      nodesToAsk(node, owner, (peer) => channel === 'public' || mayHold(peer, channel)),
    ask: askPeer({ ...holderParts(node, registration), streams }),
  });
}

/** An author's attachments count in its quota, beside its entries; own uploads have one of their own. */
function roomOf({ identity, settings, registry, store }: AttachmentsNode): (author: PeerId) => number {
  const quota = authorQuota(settings, registry);
  const own = settings.attachmentQuotaMb === 0 ? Infinity : settings.attachmentQuotaMb * 1024 * 1024;
  return (author) => (author === identity.peerId ? own : quota(author).bytes - store.usage.of(author).bytes);
}
