import type { PeerId } from '../wire/identity.ts';
import type { Change } from './change.ts';
import type { Membership } from './record.ts';
import { type Collection, isFieldOfOther } from './schema.ts';

/** Why a change of a private record is not its author's to make: `not-a-writer`, `field-foreign`; undefined when it is. */
export function writerProblem(
  collection: Collection,
  members: Membership | undefined,
  author: PeerId,
  { ops }: Change,
): string | undefined {
  const place = members?.writers.indexOf(author) ?? -1;
  if (place < 0) return 'not-a-writer';
  return ops.some(({ field }) => isFieldOfOther(collection, field, place)) ? 'field-foreign' : undefined;
}
