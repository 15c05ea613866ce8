/** An answer as it is given again. Without `body` it was too large, or a secret that is shown once. */
export interface StoredAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** The state of a request with an Idempotency-Key. */
export type IdempotencyState =
  /** Carry it out; the node has noted that it has begun. */
  | { readonly kind: 'begun' }
  | { readonly kind: 'answered'; readonly answer: StoredAnswer }
  /** The same request is being carried out right now. */
  | { readonly kind: 'busy' }
  /** The key was used with another body. */
  | { readonly kind: 'mismatch' };

/** The table of `Idempotency-Key`. `id` identifies caller, route and key together and begins with `<caller>.`, `bodyHash` the body. */
export interface IdempotencyTable {
  /** Notes the request before it is carried out. Throws `storage-failed`, `disk-full`. */
  begin(id: string, bodyHash: string): Promise<IdempotencyState>;
  /** Stores the response; resolves when it is on disk, so that what a client was told holds after a crash. */
  finish(id: string, answer: StoredAnswer): Promise<void>;
  /** Ends a request without a response to store. With `forget`, nothing of it was done, and the key is free again. */
  release(id: string, forget: boolean): Promise<void>;
}
