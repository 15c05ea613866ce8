import type { RecordKey } from '../../protocols/wire/ids.ts';

/** What an erasure has done. */
export interface Erased {
  readonly erased: true;
  /** What stays, and with whom. */
  readonly evidence: string;
}

/** Erasing what a user of this node has said. */
export interface ErasurePort {
  /**
   * A message in a conversation of this node's, by its author's user; `userId` undefined: by the operator. Throws `not-found`,
   * `forbidden`, `evidence-kept`. Resolves when this node's disk holds nothing of it; where clearing it
   * fails the log says so, and the next start does it.
   */
  message(conversationId: string, messageId: string, userId: string | undefined): Promise<Erased>;
  /** An own listing, ended first if it has not been. Throws `not-found`. */
  listing(key: RecordKey): Promise<Erased>;
}
