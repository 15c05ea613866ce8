/**
 * Codes of what no honest node can have sent or relayed: every other one depends on this node's own registry, clock or disk, or on what
 * it holds. The one list by which gossip is rejected, an exchange ended with `peer-sent-invalid`, and an invalid entry
 * counted.
 */
const CODES: ReadonlySet<string> = new Set([
  'body-mismatch',
  'channel-private',
  'entry-malformed',
  'entry-too-large',
  'envelope-malformed',
  'erasure-malformed',
  'erasure-mismatch',
  'evidence-kept',
  'fork-malformed',
  'frame-malformed',
  'frame-too-long',
  'frontier-malformed',
  'header-malformed',
  'header-version',
  'message-malformed',
  'network-wrong',
  'not-asked-for',
  'not-canonical',
  'peer-sent-invalid',
  'range-malformed',
  'signature-invalid',
]);

/** Whether an error's or a verdict's code is the fault of whoever sent what it is about. */
export function isSendersFault(code: string): boolean {
  return CODES.has(code);
}
