import { isSendersFault } from '../error-codes.ts';
import { errorCode } from '../errors.ts';
import { readForkProof } from '../feed/fork.ts';
import type { Ledger, ProofOutcome, Received } from '../ledger/types.ts';
import type { PeerId } from '../wire/identity.ts';
import { type Announcement, announcementOf, decodeMessage } from './message.ts';
import type { Access } from './ports.ts';
import type { PullEvent } from './pull-event.ts';

export const GOSSIP_LIMITS = {
  /** Gossip messages being admitted; above it they are ignored, and catch-up fetches the entries. */
  admitting: 512,
} as const;

/** Whether to forward a gossip message, drop it, or hold it against the sender. */
export type GossipVerdict = 'accept' | 'ignore' | 'reject';

export interface GossipIntakeParts {
  readonly ledger: Pick<Ledger, 'receive' | 'receiveProof'>;
  readonly access: Pick<Access, 'mayReplicate'>;
  readonly follows: (author: PeerId) => boolean;
  /** A peer has announced an entry. */
  readonly onAnnouncement: (peer: string, announcement: Announcement) => void;
  readonly onEvent: (event: PullEvent) => void;
}

/** Takes in what gossip carries: public entries, announcements of them and proofs, from registered peers alone. */
export class GossipIntake {
  readonly #parts: GossipIntakeParts;
  #admitting = 0;

  constructor(parts: GossipIntakeParts) {
    this.#parts = parts;
  }

  async take(data: Uint8Array, from: string): Promise<GossipVerdict> {
    if (!this.#parts.access.mayReplicate(from)) return 'ignore';
    if (this.#admitting >= GOSSIP_LIMITS.admitting) return 'ignore';
    this.#admitting++;
    try {
      return await this.#admit(data, from);
    } catch (error) {
      const code = errorCode(error);
      this.#refused(from, code);
      // A full disk is ours; a malformed message is the sender's.
      return isSendersFault(code) ? 'reject' : 'ignore';
    } finally {
      this.#admitting--;
    }
  }

  async #admit(data: Uint8Array, from: string): Promise<GossipVerdict> {
    const { ledger, follows, onAnnouncement } = this.#parts;
    const message = decodeMessage(data);
    switch (message.kind) {
      case 'entry':
        return this.#entryVerdict(
          from,
          (await ledger.receive([message.bytes], { channel: 'public' }, from))[0],
        );
      case 'announcement':
        if (message.announcement.channel !== 'public') return 'reject';
        onAnnouncement(from, message.announcement);
        return follows(message.announcement.author) ? 'accept' : 'ignore';
      case 'proof':
        if (readForkProof(message.bytes).channel !== 'public') return 'reject';
        return this.#proofVerdict(from, await ledger.receiveProof(message.bytes, from));
    }
  }

  #entryVerdict(from: string, result: Received | undefined): GossipVerdict {
    const entry = result?.entry;
    if (result?.kind === 'accept') return 'accept';
    if (result?.kind === 'gap' && entry !== undefined) {
      this.#parts.onAnnouncement(from, announcementOf(entry));
      return 'accept';
    }
    if (result?.kind === 'known') return result.code === undefined ? 'accept' : 'ignore';
    this.#refused(from, result?.code ?? result?.kind ?? 'unknown');
    return result?.kind === 'reject' ? 'reject' : 'ignore';
  }

  /** Forwarded when it changed something here. A deferred one is not the sender's fault: others may accept it today. */
  #proofVerdict(from: string, outcome: ProofOutcome): GossipVerdict {
    if (outcome === 'exceeded') this.#refused(from, 'forks-exceeded');
    return outcome === 'new' ? 'accept' : 'ignore';
  }

  #refused(peer: string, code: string): void {
    this.#parts.onEvent({ kind: 'entry-refused', peer, code });
  }
}
