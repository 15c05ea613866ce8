import type { ErrorCode } from '../error-codes.ts';
import type { Entry } from './entry.ts';
import type { FeedState } from './feed.ts';
import { LIMITS } from '../wire/limits.ts';
import type { PeerId } from '../wire/identity.ts';

/** This node's own decisions about authors. */
export interface Following {
  /** `followed`: new entries are admitted; `suspended`: what is held is kept, nothing new is admitted; `no`: not registered. */
  followState(author: PeerId): 'followed' | 'suspended' | 'no';
}

/** Everything that admission needs besides the entry: one feed and the receiver's own registry. */
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
 * The decision on an entry. `ignore` depends on this node's registry or on what it already holds; `reject` means that no honest node
 * could have relayed it and counts against the sender; `gap` asks for the entries in between; `fork` means that there is proof of
 * equivocation.
 */
export type Admission =
  | { readonly kind: 'accept' }
  | { readonly kind: 'known' }
  | { readonly kind: 'ignore'; readonly code: ErrorCode }
  | { readonly kind: 'reject'; readonly code: ErrorCode }
  | { readonly kind: 'gap' }
  | { readonly kind: 'fork' };

/** The checks that need no signature, cheapest first. `undefined` means that admission continues. */
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
  // Checked before the gap, because an entry beyond a gap is forwarded too and must be complete for nodes that hold what is in
  // between.
  if (!bodyMatches()) return { kind: 'reject', code: 'body-mismatch' };
  if (header.seq > head + 1) return { kind: 'gap' };
  if (header.seq > 1 && header.prev !== feed?.hash) return { kind: 'gap' };
  return { kind: 'accept' };
}
