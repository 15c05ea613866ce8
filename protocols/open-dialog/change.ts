/*
 * The changes of Open Dialog version 1: an uncompressed Automerge change chunk that only sets and deletes scalar fields
 * of the root map. The bytes are those of Automerge 3.5 and exactly one encoding of a change is accepted, so that every
 * node accepts the same bytes whatever version of Automerge it runs. Nothing here opens Automerge; its tests do.
 */

import type { OpId } from './change-types.ts';

export { changeHash, decodeChange } from './change-decode.ts';
export { encodeChange, encodeWithHash as sealChange } from './change-encode.ts';
export type { Change, FieldOp, OpId, Scalar } from './change-types.ts';

/** An op id as states have it: `counter@actor`. */
export const opIdText = ({ counter, actor }: OpId): string => `${counter}@${actor}`;

export function opIdOf(text: string): OpId {
  const [counter = '', actor = ''] = text.split('@');
  return { counter: Number(counter), actor };
}
