import type { NotCompared } from '../protocols/digest/coverage.ts';

/** Why a collection is in no comparison with a peer, for people. */
export function notComparedText({ collection, here, there }: NotCompared): string {
  if (here === null) return `collection ${collection} (the peer's version knows it, this one does not)`;
  if (there === null) return `collection ${collection} (this version knows it, the peer's does not)`;
  return `collection ${collection} (evaluated by op version ${here} here, by ${there} there)`;
}
