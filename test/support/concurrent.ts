import { draftEdit } from '../../protocols/ledger/drafts.ts';
import { placedOps } from '../../protocols/ledger/placed-ops.ts';
import type { Entry } from '../../protocols/feed/entry.ts';
import { evaluateWhole } from './evaluate-whole.ts';
import type { RecordKey } from '../../protocols/wire/ids.ts';
import type { Identity } from '../../protocols/wire/identity.ts';
import { Hand, listingOps } from './forge.ts';

/** A listing and edits of it by epochs of its owner that know nothing of one another: the entries, the creation first. */
export function concurrentEdits(
  owner: Identity,
  id: string,
  epochs: number,
): { key: RecordKey; entries: Entry[] } {
  const key = `listings/${owner.peerId}/${id}` as RecordKey;
  const first = new Hand(owner, 'f'.repeat(16));
  const create = first.next(listingOps(first.pen, id, undefined, { title: 'Maize', price: 0 }));
  const { state } = evaluateWhole(key, placedOps(create), undefined);
  const edits = Array.from({ length: epochs }, (_, i) => {
    const hand = new Hand(owner, (i + 1).toString(16).padStart(16, '0'));
    return hand.next([
      ...draftEdit(hand.pen, key, 'public', state, { price: i + 1, notes: `edit ${i}` }).ops,
    ]);
  });
  return { key, entries: [create, ...edits] };
}
