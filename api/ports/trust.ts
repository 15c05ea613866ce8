import type { KeptContracts, ReputationProof, ReputationView } from '../../protocols/market/reputation.ts';
import type { FenceReason } from '../../protocols/market/geofence.ts';
import type { RatingSubmission } from '../../protocols/market/rating-submission.ts';
import type { Actor } from '../../protocols/market/contract-book/types.ts';
import type { RatingAnnotation } from '../../protocols/market/rating-annotation.ts';
import type { Rating } from '../../protocols/market/rating.ts';
import type { Ratings } from '../../protocols/market/ratings.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';

/** How reliable a node is as a peer: shown with its reputation, but never part of it. */
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

/** Reputations as this node sees them now: by its own and its active registrations' ratings, with its own notes; or as `view` has it. */
export interface TrustPort extends Pick<Ratings, 'rated'> {
  /** This node and its active registrations, sorted. */
  roots(): readonly PeerId[];
  /** Throws `subject-malformed`. */
  proof(subject: string, view?: Partial<ReputationView>): Promise<ReputationProof>;
  /** The publicly rated contracts of a user or node, which costs next to nothing again. Throws `subject-malformed`. */
  kept(subject: string): Promise<KeptContracts>;
  reliability(node: string): Reliability;
}

export type RatingsPort = RatingSubmission &
  RatingAnnotation &
  Pick<Ratings, 'list' | 'current' | 'get' | 'by' | 'notesOf'> & {
    /** Why a party of a contract gave -1, for those who may read the contract; undefined for everybody else. */
    reasonOf(rating: Rating, actor: Actor): Promise<string | undefined>;
  };

/** Which of others' records are shown here. */
export interface FencePort {
  /** Why a record of this owner, a peer id or `legacy:<origin>`, stays outside; own ones never do. */
  reason(owner: string, fields: Readonly<Record<string, unknown>>): FenceReason | undefined;
  /** Whether there is any fence. */
  readonly active: boolean;
  /** In words: `off`, a circle, or the number of polygons. */
  describe(node?: string): string;
  /** A fence for records from a node; `default` restores GEOFENCE. Throws `fence-malformed`. */
  set(node: string, fence: string | Readonly<Record<string, unknown>>): Promise<void>;
}
