import type { ErrorCode } from '../error-codes.ts';
import type { Entry } from './entry.ts';
import type { FeedState } from './feed.ts';
import { LIMITS } from '../wire/limits.ts';
import type { PeerId } from '../wire/identity.ts';

/** What a node decides by itself about authors. */
export interface Following {
  /** `followed`: takes new entries; `suspended`: keeps what is held and takes nothing beyond; `no`: not registered. */
  followState(author: PeerId): 'followed' | 'suspended' | 'no';
}

/** Everything admission looks at besides the entry: one feed and the receiver's own registry. */
export interface AdmissionState {
  readonly net: string;
  readonly followState: 'followed' | 'suspended' | 'no';
  readonly feed: FeedState | undefined;
  /** Hash of the header held at the entry's own place, when that place is at or below the head. */
  readonly heldHash: string | undefined;
  /** New epochs of this author taken today. */
  readonly epochsToday: number;
}

/**
 * What becomes of an entry. `ignore` depends on this node's own registry or on what it already has; `reject` is only what no
 * honest node could have relayed and counts against the sender; `gap` asks for the entries between; `fork` is proof in hand.
 */
export type Admission =
  | { readonly kind: 'accept' }
  | { readonly kind: 'known' }
  | { readonly kind: 'ignore'; readonly code: ErrorCode }
  | { readonly kind: 'reject'; readonly code: ErrorCode }
  | { readonly kind: 'gap' }
  | { readonly kind: 'fork' };

/** The part of admission that needs no signature: cheapest first. `undefined` means go on. */
export function admitUnverified(entry: Entry, state: AdmissionState): Admission | undefined {
  const { header } = entry;
  if (header.net !== state.net) return { kind: 'reject', code: 'network-wrong' };
  if (state.followState === 'no') return { kind: 'ignore', code: 'author-not-registered' };
  if (state.heldHash === entry.hash) return { kind: 'known' };
  if (state.followState === 'suspended') return { kind: 'ignore', code: 'beyond-cut' };
  const { feed } = state;
  if (feed?.fork !== undefined && header.seq >= feed.fork.seq) return { kind: 'ignore', code: 'forked' };
  if (
    (feed === undefined || feed.seq === 0) &&
    header.seq === 1 &&
    state.epochsToday >= LIMITS.epochsPerDay
  ) {
    return { kind: 'ignore', code: 'epochs-exceeded' };
  }
  return undefined;
}

/** The part after the signature held: proof of a fork (the header alone is one), then the body, then the place in the feed. */
export function admitVerified(entry: Entry, state: AdmissionState, bodyMatches: () => boolean): Admission {
  const { header } = entry;
  const { feed } = state;
  const head = feed?.seq ?? 0;
  if (header.seq <= head) return { kind: 'fork' };
  // Before the gap, because an entry beyond one is forwarded too: whoever has what is between must find it whole.
  if (!bodyMatches()) return { kind: 'reject', code: 'body-mismatch' };
  if (header.seq > head + 1) return { kind: 'gap' };
  if (header.seq > 1 && header.prev !== feed?.hash) return { kind: 'gap' };
  return { kind: 'accept' };
}
