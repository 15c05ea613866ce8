import { errorCode } from '../errors.ts';
import type { Entry } from '../feed/entry.ts';
import type { ForkProof } from '../feed/fork.ts';
import type { Committed } from '../ledger/types.ts';
import type { Channel } from '../wire/ids.ts';
import { LIMITS } from '../wire/limits.ts';
import type { PeerConnection, StreamHost } from '../wire/stream.ts';
import type { AnnounceProtocol } from './announce.ts';
import { type Announcement, announcementOf, encodeMessage, type GossipMessage } from './message.ts';
import { type Access, newestConnection } from './ports.ts';
import { peerFailed, type FailureParts } from './pull-event.ts';

export interface AnnouncerParts extends FailureParts {
  readonly libp2p: Pick<StreamHost, 'getConnections'>;
  readonly access: Pick<Access, 'mayReplicate'>;
  /** Participants of a private channel, this node left out. */
  readonly participants: (channel: Channel) => readonly string[];
  readonly publish: (data: Uint8Array) => Promise<void>;
  readonly direct: Pick<AnnounceProtocol, 'announce'>;
  /** Exchanges frontiers with a peer. */
  readonly exchange: (connection: PeerConnection) => void;
  /** A peer could not be notified of an entry. */
  readonly missed: (peer: string) => void;
  /** A proof shows that the fork is lower still. */
  readonly seekLower: (proof: ForkProof) => void;
}

/** Notifies peers of commits: of public entries everybody by gossip, of private ones only their participants. */
export class Announcer {
  readonly #parts: AnnouncerParts;

  constructor(parts: AnnouncerParts) {
    this.#parts = parts;
  }

  committed({ entries, local, proofs }: Committed): void {
    for (const { channel, bytes } of proofs) {
      if (channel === 'public') this.#publish({ kind: 'proof', bytes });
      else this.#showTo(this.#parts.participants(channel));
    }
    for (const proof of proofs) if (proof.prevs[0] !== proof.prevs[1]) this.#parts.seekLower(proof);
    if (!local) return;
    for (const entry of entries) this.#ownEntry(entry);
  }

  #ownEntry(entry: Entry): void {
    const { channel } = entry.header;
    if (channel !== 'public') {
      for (const peer of this.#parts.participants(channel)) this.#tell(peer, announcementOf(entry));
      return;
    }
    const isSmall = entry.bytes.length <= LIMITS.gossipEntryBytes;
    this.#publish(
      isSmall
        ? { kind: 'entry', bytes: entry.bytes }
        : { kind: 'announcement', announcement: announcementOf(entry) },
    );
  }

  /** A proof in a private channel names it: its participants see it in the frontier, nobody else is told. */
  #showTo(peers: readonly string[]): void {
    for (const peer of peers) {
      const connection = newestConnection(this.#parts.libp2p, peer);
      if (connection !== undefined) this.#parts.exchange(connection);
    }
  }

  #publish(message: GossipMessage): void {
    const { publish, onEvent } = this.#parts;
    publish(encodeMessage(message)).catch((error: unknown) =>
      onEvent({ kind: 'pull-failed', peer: 'gossip', code: errorCode(error) }),
    );
  }

  #tell(peer: string, announcement: Announcement): void {
    const { libp2p, access, direct } = this.#parts;
    const connection = newestConnection(libp2p, peer);
    if (connection === undefined || !access.mayReplicate(peer)) return;
    direct.announce(connection, announcement).catch((error: unknown) => {
      peerFailed(this.#parts, peer, errorCode(error), { private: true });
      this.#parts.missed(peer);
    });
  }
}
