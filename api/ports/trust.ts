import type { TrustProof, TrustScore } from '../../protocols/market/trust.ts';
import type { FenceReason } from '../../protocols/market/geofence.ts';
import type { RatingSubmission } from '../../protocols/market/rating-submission.ts';
import type { Ratings } from '../../protocols/market/ratings.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';

/** How a node does as a peer: shown beside its score, and never a part of it. */
export interface Reliability {
  readonly syncs: number;
  readonly syncsFailed: number;
  /** Entries that no honest node could have sent. */
  readonly invalidEntries: number;
  /** Epochs in which it signed two entries for one place. */
  readonly equivocations: number;
  /** Milliseconds since 1970; null while nothing is known. */
  readonly since: number | null;
  readonly lastFailedAt: number | null;
  /** An error code. */
  readonly lastFailure: string | null;
}

/** Scores as this node sees them, or as seen from other roots. Throws `subject-malformed`. */
export interface TrustPort extends Pick<Ratings, 'rated'> {
  /** This node and its active registrations, sorted. */
  roots(): readonly PeerId[];
  score(subject: string): Promise<TrustScore>;
  proof(subject: string, roots?: readonly PeerId[]): Promise<TrustProof>;
  reliability(node: string): Reliability;
}

export type RatingsPort = RatingSubmission & Pick<Ratings, 'list' | 'current'>;

/** What of others' records is shown here. */
export interface FencePort {
  /** Why a record of this owner, a peer id or `legacy:<origin>`, stays outside; own ones never do. */
  reason(owner: string, fields: Readonly<Record<string, unknown>>): FenceReason | undefined;
  /** Whether there is any fence. */
  readonly active: boolean;
  /** In words: `off`, a circle, or so many polygons. */
  describe(node?: string): string;
  /** A fence for what comes from a node; `default` is GEOFENCE again. Throws `fence-malformed`. */
  set(node: string, fence: string | Readonly<Record<string, unknown>>): Promise<void>;
}
