import type { AttachmentsPort } from '../../api/ports/attachments.ts';
import type { Env, Timer } from '../../protocols/env.ts';
import { errorCode } from '../../protocols/errors.ts';
import { Lazy } from '../../protocols/lazy.ts';
import {
  AttachmentProtocol,
  type AttachmentProtocolParts,
} from '../../protocols/mycelium/attachment-protocol.ts';
import { type FailureParts, peerFailed } from '../../protocols/mycelium/pull-event.ts';
import { SerialQueue } from '../../protocols/serial-queue.ts';
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
      collect: () => table.collect(identity.peerId, clock.cautious()),
      env,
      log: (message, fields) => logger.warn(fields, message),
    });
    hooks.committed.on('attachments', ({ changes }) => {
      if (table.committed(changes)) collector.wake();
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
  return new AttachmentProtocol(parts, settings.myceliumNetwork);
}

interface CollectorParts {
  /** Drops what is due; resolves with whether some is left that a request under way names. */
  readonly collect: () => Promise<boolean>;
  readonly env: Pick<Env, 'after'>;
  readonly log: (message: string, fields: Record<string, unknown>) => void;
}

/** Between two looks at uploads that nobody has named in time, milliseconds: they have had a day. */
const EVERY_MS = 60 * 60_000;
/** Until what a request under way named is looked at again, milliseconds: it is over by then. */
const AGAIN_MS = 90_000;

/** Drops attachments that nothing names: soon after a commit says so, and once an hour those that nobody has named in time. */
class Collector {
  readonly #parts: CollectorParts;
  readonly #queue = new SerialQueue();
  #isAsked = false;
  #isStopped = false;
  #timer: Timer | undefined;

  constructor(parts: CollectorParts) {
    this.#parts = parts;
  }

  /** Never throws; what fails is done again when writing goes on, or an hour later. */
  wake(): void {
    if (this.#isAsked || this.#isStopped) return;
    this.#isAsked = true;
    void this.#queue
      .run(async () => {
        this.#isAsked = false;
        if (await this.#parts.collect()) this.#next(AGAIN_MS);
      })
      .catch((error: unknown) => {
        if (!this.#isStopped)
          this.#parts.log('attachments that nothing names are kept until writing goes on', { err: error });
      });
    this.#next(EVERY_MS);
  }

  #next(ms: number): void {
    if (this.#isStopped) return;
    this.#timer?.cancel();
    this.#timer = this.#parts.env.after(ms, () => this.wake());
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#timer?.cancel();
    await this.#queue.idle();
  }
}
