import type { ListingQuery } from '../listing-query.ts';

/** A search that a user has saved, as its user gave it. */
export interface WantDraft {
  readonly userId: string;
  /** The user's name for it. */
  readonly label?: string | undefined;
  /** When it ends, milliseconds since 1970. */
  readonly until?: number | undefined;
  /** By the names of the query of listings; nothing under a name that is not asked by. */
  readonly query: ListingQuery;
}

/** Times in milliseconds since 1970. */
export interface Want extends WantDraft {
  readonly id: string;
  readonly createdAt: number;
}

export interface WantPage {
  readonly wants: readonly Want[];
  readonly cursor?: string;
}

/** Saved searches: a user with one is notified of each listing that matches from then on, once. */
export interface WantsPort {
  /** Of one user, the oldest first. `cursor` is the id of the last of the page before. */
  list(userId: string, limit: number, cursor?: string): Promise<WantPage>;
  /** Throws `not-found`, also for one of somebody else and one that has ended. */
  get(userId: string, id: string): Promise<Want>;
  /**
   * On disk when it resolves. Under the id of one that is there it is that one. Throws `query-invalid` and `coordinates-malformed` as a
   * list does, `fields-invalid` for an end that has passed, `user-unknown`, `wants-full`.
   */
  save(want: WantDraft, id?: string): Promise<Want>;
  /** Throws `not-found`. */
  remove(userId: string, id: string): Promise<void>;
}
