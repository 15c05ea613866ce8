import type { AttachmentsPort } from '../../api/ports/attachments.ts';
import { errorCode } from '../../protocols/errors.ts';
import { Lazy } from '../../protocols/lazy.ts';
import {
  type AttachmentProtocol,
  type AttachmentProtocolParts,
  createAttachmentProtocol,
} from '../../protocols/mycelium/attachment-protocol.ts';
import { type FailureParts, peerFailed } from '../../protocols/mycelium/pull-event.ts';
import { Collector } from '../attachments/collector.ts';
import type {
  AttachmentsComponents,
  AttachmentsNode,
  OpenAttachments,
} from '../attachments/open-attachments.ts';
import { definePart } from '../parts.ts';
import type { Node } from './running.ts';

/** Pictures and files that listings and messages name: kept beside the feeds, given to those who may have them, fetched on demand. */
export function defineAttachments(
  node: AttachmentsNode & Pick<Node, 'hooks'>,
  components: AttachmentsComponents,
) {
  return definePart<AttachmentsPort>('attachments', async () => {
    const { clock, env, hooks, host, identity, logger, registry, store } = node;
    const table = store.attachments;
    const failures: FailureParts = { offences: node.offences, now: clock.steady, onEvent: hooks.pulled.emit };
    const protocol = protocolOf(node, failures, async (...asked) => (await attachments()).answer(...asked));
    let fetches: OpenAttachments['fetches'] | undefined;
    // Many nodes never see one: what gives them out and fetches them is loaded for the first.
    const opened = new Lazy<OpenAttachments>(async () => {
      const { openAttachments } = await import('../attachments/open-attachments.ts');
      const open = openAttachments(node, components, failures, protocol);
      ({ fetches } = open);
      return open;
    });
    const attachments = async (): Promise<OpenAttachments['attachments']> => (await opened.get()).attachments;
    const collector = new Collector({
      collect: () => table.collect(identity.peerId, env.now()),
      env,
      log: (message, fields) => logger.warn(fields, message),
    });
    hooks.committed.on('attachments', ({ changes }) => {
      if (table.leaves(changes)) collector.wake();
    });
    hooks.recovered.on('attachments', () => collector.wake());
    host.onConnection(({ remotePeer }) => {
      if (registry.isActive(remotePeer.toString())) fetches?.reachable();
    });
    await protocol.start();
    collector.wake();
    return {
      face: {
        upload: async (...of) => (await attachments()).upload(...of),
        uploaded: async (...of) => (await attachments()).uploaded(...of),
        read: async (...of) => (await attachments()).read(...of),
        answer: async (...of) => (await attachments()).answer(...of),
      },
      async stop() {
        await protocol.stop();
        if (opened.isAsked) await opened.get().catch(() => undefined);
        await fetches?.stop();
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
