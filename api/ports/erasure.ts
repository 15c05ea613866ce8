import type { RecordKey } from '../../protocols/wire/ids.ts';

/** The result of an erasure. */
export interface Erased {
  readonly erased: true;
  /** What is kept, and by whom. */
  readonly evidence: string;
}

/** Erases what a user of this node has written. */
export interface ErasurePort {
  /**
   * A message in a conversation of this node's, by its author's user; `userId` undefined: by the operator. Throws `not-found`,
   * `forbidden`, `evidence-kept`. Resolves when this node's disk holds nothing of it; if clearing it fails, the log says so, and the
   * next start repeats it.
   */
  message(conversationId: string, messageId: string, userId: string | undefined): Promise<Erased>;
  /** An own listing, ended first if it has not been. Throws `not-found`. */
  listing(key: RecordKey): Promise<Erased>;
}
