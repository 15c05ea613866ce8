import { expect, it } from 'vitest';
import { concernsUsers } from '../../../daemon/notices/concerns.ts';
import type { RecordChange } from '../../../protocols/ledger/ports.ts';
import type { PeerId } from '../../../protocols/wire/identity.ts';
import { recordKey } from '../../../protocols/wire/ids.ts';
import { nodeOf } from '../../support/vectors/signatures.ts';

const [rater, rated, other] = [nodeOf(2).peerId, nodeOf(3).peerId, nodeOf(4).peerId];
const rating = recordKey('ratings', rater, 'r1');

/** A new note of a node on the rating. */
function note(by: PeerId, view: Record<string, unknown> = {}): RecordChange {
  const key = recordKey('rating-notes', by, 'n1');
  const after = { key, exists: true, view: { rating, to: `mary@${rated}`, ...view } };
  return { key, before: undefined, after } as unknown as RecordChange; // as far as it is looked at
}

it('a note concerns the other side of the rating, and nobody else', () => {
  expect(concernsUsers(note(rater), rated)).toBe(true);
  expect(concernsUsers(note(rated), rater)).toBe(true);
  // Of what was said here its own side knows; what others say changes nothing.
  expect(concernsUsers(note(rater), rater)).toBe(false);
  expect(concernsUsers(note(rated), rated)).toBe(false);
  for (const self of [rater, rated, other]) expect(concernsUsers(note(other), self)).toBe(false);
  expect(concernsUsers(note(rater), other)).toBe(false);
  // Both may be users of one node.
  expect(concernsUsers(note(rater, { to: `mary@${rater}` }), rater)).toBe(true);
});

it('a note that names no rating, or nobody, concerns nobody', () => {
  for (const view of [{ rating: 7 }, { rating: 'x' }, { rating: undefined }])
    for (const by of [rater, rated])
      expect(concernsUsers(note(by, view), by === rater ? rated : rater)).toBe(false);
  for (const to of [7, 'mary', undefined]) expect(concernsUsers(note(rater, { to }), rated)).toBe(false);
});
