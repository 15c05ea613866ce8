/** Bytes that are asked for piece by piece; `return` ends them early and lets go of what they hold. */
export interface ByteSource {
  next(): Promise<IteratorResult<Uint8Array, unknown>>;
  return(value: undefined): Promise<unknown>;
}

export interface BackupPort {
  /**
   * A backup of this moment, streamed. `withKeys` only says in its manifest that the reader will insert keys: none is in the stream.
   * Throws `backup-busy` while one is taken.
   */
  open(options: { readonly withKeys: boolean }): Promise<ByteSource>;
}
