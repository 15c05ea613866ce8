import type { PeerId } from '../wire/identity.ts';
import type { Channel } from '../wire/ids.ts';
import type { Offences } from './offences.ts';

/** `private`: it was about a private channel, of which only its participants may learn that anything has happened. */
export type PullEvent =
  /** Nothing of what was examined is missing any more; `pulled` when a pull ended so, and not just a comparison of public frontiers. */
  | {
      readonly kind: 'peer-synced';
      readonly peer: string;
      readonly received: number;
      readonly pulled?: true;
      readonly private?: true;
    }
  | { readonly kind: 'pull-failed'; readonly peer: string; readonly code: string; readonly private?: true }
  | { readonly kind: 'entry-refused'; readonly peer: string; readonly code: string; readonly private?: true }
  /** The peer has sent what no honest node can have sent, and is left alone for `forMs`. */
  | { readonly kind: 'peer-distrusted'; readonly peer: string; readonly code: string; readonly forMs: number }
  /** All that a peer has shown of the feeds that hold promises of this node is held here. */
  | { readonly kind: 'own-held'; readonly peer: string }
  | { readonly kind: 'digest-differs'; readonly peer: string; readonly author: PeerId };

/** Whether an event is about something private. */
export type Privacy = Pick<PullEvent & { readonly kind: 'pull-failed' }, 'private'>;

export function privacyOf(channel: Channel): Privacy {
  return channel === 'public' ? {} : { private: true };
}

export interface FailureParts {
  readonly offences: Offences;
  readonly now: () => number;
  readonly onEvent: (event: PullEvent) => void;
}

/** Something with a peer has failed with this code: reports it, and disregards the peer for a time when the code is an offence. */
export function peerFailed(
  { offences, now, onEvent }: FailureParts,
  peer: string,
  code: string,
  privacy: Privacy = {},
): void {
  onEvent({ kind: 'pull-failed', peer, code, ...privacy });
  const forMs = offences.note(peer, code, now());
  if (forMs !== undefined) onEvent({ kind: 'peer-distrusted', peer, code, forMs });
}
