import type { ErrorCode } from '../error-codes.ts';
import { AgrinetError } from '../errors.ts';

/** Errors about the bytes of a sequence of entries, or a frontier: another shape, or truncated. */
const CODES: ReadonlySet<ErrorCode> = new Set([
  'frontier-malformed',
  'not-canonical',
  'range-malformed',
  'stream-truncated',
]);

/** Whether the bytes of a sequence are at fault, and not this node: for callers to whom those bytes are a body or a file of their own. */
export function isSequenceFault(error: unknown): error is AgrinetError {
  return error instanceof AgrinetError && CODES.has(error.code);
}
