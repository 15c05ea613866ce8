import { bodyMatches, decodeEntry, type Entry } from '../feed/entry.ts';
import { ENTRY_ENVELOPE } from '../feed/header.ts';
import { type ReadOp, readOp } from '../open-dialog/read-op.ts';
import type { PlacedOp } from '../open-dialog/record.ts';
import { signatureHolds } from '../wire/envelope.ts';

/** An entry, and what its bytes alone say of it: found here when it is asked for, or on another thread before. */
export interface ReadEntry {
  readonly entry: Entry;
  readonly signatureHolds: () => boolean;
  readonly bodyMatches: () => boolean;
  /** The result of `readOp` for an op of the entry. */
  readonly op: (placed: PlacedOp) => ReadOp;
}

/** Reads an entry on this thread, no more of it than is asked for. Throws what `decodeEntry` throws. */
export function readEntry(bytes: Uint8Array): ReadEntry {
  const entry = decodeEntry(bytes);
  return {
    entry,
    signatureHolds: () => signatureHolds(ENTRY_ENVELOPE, entry.envelope),
    bodyMatches: () => bodyMatches(entry),
    op: readOp,
  };
}
