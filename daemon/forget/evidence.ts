import { STATEMENTS_READ } from '../../protocols/market/contract-book/signed-statements.ts';
import { readRating, type Rating } from '../../protocols/market/rating.ts';
import { RATING_LIMITS } from '../../protocols/market/facts-by-subject.ts';
import { isLive } from '../../protocols/open-dialog/record.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import { parseRecordKey, type RecordKey } from '../../protocols/wire/ids.ts';
import type { Reader } from '../../storage/reader.ts';
import type { Store } from '../../storage/store.ts';

export interface EvidenceParts {
  readonly self: PeerId;
  readonly net: string;
  readonly store: Pick<Store, 'feedGroups' | 'feeds'>;
  readonly reader: Pick<Reader, 'factsOf' | 'keysOf' | 'many'>;
}

/**
 * The records of an author on which this node's own users rely; they are kept when it is forgotten. In private channels in which
 * this node has written: the contract or conversation itself, and the statements of its contract. Of the public ones: the current
 * ratings of this node's users, each with the receipt of a settled contract. Limited like reading them, so that nobody keeps a disk
 * full by them.
 */
export async function evidenceOf(parts: EvidenceParts, author: PeerId): Promise<ReadonlySet<RecordKey>> {
  const { self, store, reader } = parts;
  const kept = new Set<RecordKey>();
  for (const { author: of, channel } of store.feedGroups()) {
    if (of !== author || channel === 'public') continue;
    if (!store.feeds(self, channel).some(({ seq }) => seq > 0)) continue;
    kept.add(channel);
    for (const { key } of await reader.factsOf('transitions', channel, STATEMENTS_READ)) kept.add(key);
  }
  for (const { id } of await currentRatings(parts, author)) kept.add(id);
  return kept;
}

/** The current rating for each contract and party, among those that a reputation reads. */
async function currentRatings({ self, net, reader }: EvidenceParts, author: PeerId): Promise<Rating[]> {
  const keys = await reader.keysOf('ratings.node', self, RATING_LIMITS.perNode);
  const theirs = keys.filter((key) => parseRecordKey(key)?.owner === author);
  const valid: Rating[] = [];
  for (let at = 0; at < theirs.length; at += RATING_LIMITS.turn)
    for (const state of await reader.many(theirs.slice(at, at + RATING_LIMITS.turn))) {
      const rating = isLive(state) ? readRating(state.key, state.view, net, state.created[0]) : undefined;
      if (rating?.problem === null) valid.push(rating);
    }
  const corrected = new Set(valid.map(({ supersedes }) => supersedes));
  const current = new Map<string, Rating>();
  for (const rating of valid.filter(({ id }) => !corrected.has(id)).sort((a, b) => (a.id < b.id ? -1 : 1))) {
    const of = `${rating.contract} ${rating.from} ${rating.to}`;
    if (!current.has(of)) current.set(of, rating);
  }
  return [...current.values()];
}
