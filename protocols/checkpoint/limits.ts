/** Bounds of a checkpoint and of its chunks. `protocols/README.md` shows the same table. */
export const CHECKPOINT_LIMITS = {
  /** One statement in its envelope: all its covers fit, and it fits into an op. */
  statementBytes: 45_056,
  /** Epochs in its covers; those that a covered one names are not among them, so most have one. */
  covers: 512,
  /** Checkpoints that one takes the place of: as many as clones of a node can have made at once. */
  prev: 8,
  /** The largest `gen`: an author that signs it has no next one. */
  generations: 0xffff_ffff,
  /** A chunk; an item that is larger is one by itself. So many of them are read and checked at a time. */
  chunkBytes: 256 * 1024,
  /** Items in one chunk: with the hash of each that was erased they are below the data items of a payload. */
  chunkItems: 2000,
  /** One item: an entry, as evidence, and what is around it. */
  itemBytes: 1024 * 1024 + 64,
  /** Values of a record in one item; further ones stand in the next. */
  values: 512,
  /** UTF-8 bytes of the texts among these values, and 64 for each; one larger value stands alone. */
  valueBytes: 65_536,
} as const;
