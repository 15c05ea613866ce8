import type { CarriedItems, FeedFilePort } from '../../api/ports/feed-file.ts';
import type { ErrorCode } from '../../protocols/error-codes.ts';
import { AgrinetError, errorCode } from '../../protocols/errors.ts';
import { hasGap } from '../../protocols/feed/gap.ts';
import type { Ledger, Received } from '../../protocols/ledger/types.ts';
import type { FeedSource } from '../../protocols/mycelium/ports.ts';
import { rangeItems } from '../../protocols/mycelium/range.ts';
import type { RangeItem } from '../../protocols/mycelium/range-item.ts';
import { CANNOT_WRITE } from '../../protocols/mycelium/take-items.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import type { Channel } from '../../protocols/wire/ids.ts';
import { decodeEntry } from '../../protocols/feed/entry.ts';
import { verifyErasure } from '../../protocols/feed/erasure.ts';
import { verifyForkProof } from '../../protocols/feed/fork.ts';

export interface FeedFileParts {
  readonly self: PeerId;
  readonly feeds: FeedSource;
  readonly ledger: Pick<Ledger, 'receive' | 'receiveProof' | 'receiveErasure'>;
  readonly mayHold: (peer: string, channel: Channel) => boolean;
}

/** Entries out of and into files, through the ledger like those of a peer. */
export function createFeedFiles({ self, feeds, ledger, mayHold }: FeedFileParts): FeedFilePort {
  return {
    items({ authors, to }) {
      const groups = feeds
        .feedGroups()
        .filter(({ author }) => authors.length === 0 || authors.includes(author))
        .filter((group) => !hasGap(feeds, group.feeds))
        .filter(({ channel }) => channel === 'public' || (to !== undefined && mayHold(to, channel)))
        .map((group) => ({ ...group, entries: group.feeds.reduce((sum, { seq }) => sum + seq, 0) }));
      return {
        entries: groups.reduce((sum, { entries }) => sum + entries, 0),
        async *items() {
          for (const { author, channel } of groups) yield* rangeItems(feeds, { author, channel, have: [] });
        },
      };
    },

    async take(items, to) {
      const taken: CarriedItems = { accepted: 0, known: 0, ignored: 0, reasons: {}, strangers: {} };
      // Entries go in one commit; proofs and erasures before those they are about, so up to the first that is refused.
      const entries: { readonly index: number; readonly bytes: Uint8Array }[] = [];
      for (const [index, item] of items.entries()) {
        const code = await admitted(item, to);
        if (code === undefined) {
          if (item.kind === 'entry') entries.push({ index, bytes: item.bytes });
          continue;
        }
        if (!PASSED_OVER.has(code)) {
          taken.rejected = { index, code };
          break;
        }
        note(taken, { kind: 'ignore', code });
      }
      const results = await ledger.receive(entries.map(({ bytes }) => bytes));
      for (const [i, result] of results.entries()) {
        const { kind, code } = result;
        if (code !== undefined && CANNOT_WRITE.has(code))
          throw new AgrinetError(code, 'this node cannot write now. Import the file again later.');
        const { index } = entries[i] ?? { index: 0 };
        if (kind !== 'reject') note(taken, result);
        else if (taken.rejected === undefined || index < taken.rejected.index)
          taken.rejected = { index, code: code ?? 'unknown' };
      }
      return taken;
    },
  };

  /** Admits proofs and erasures; for an entry it only checks whether this node may have it. Returns the code of an item's fault. */
  async function admitted(item: RangeItem, to: PeerId | undefined): Promise<ErrorCode | undefined> {
    try {
      const { channel } = feedOf(item);
      if (channel !== 'public' && to !== self) return FOR_ANOTHER;
      if (item.kind === 'proof' && (await ledger.receiveProof(item.bytes)) === 'exceeded') return PUT_OFF;
      if (item.kind === 'erasure') await ledger.receiveErasure(item.bytes);
      return undefined;
    } catch (error) {
      if (!(error instanceof AgrinetError) || CANNOT_WRITE.has(errorCode(error))) throw error;
      return error.code;
    }
  }
}

const FOR_ANOTHER = 'for-another-node';
/** So many forks of one author a day: it is taken on another day, from this file or from a peer. */
const PUT_OFF = 'forks-exceeded';
/** Faults that end nothing: the rest of the file is read. */
const PASSED_OVER: ReadonlySet<string> = new Set([FOR_ANOTHER, PUT_OFF]);

function note(taken: CarriedItems, { kind, code, entry }: Received): void {
  if (kind === 'accept') taken.accepted++;
  else if (kind === 'known' || kind === 'fork') taken.known++;
  else {
    const why = code ?? kind;
    taken.ignored++;
    taken.reasons[why] = (taken.reasons[why] ?? 0) + 1;
    if (why === 'author-not-registered' && entry !== undefined)
      taken.strangers[entry.author] = (taken.strangers[entry.author] ?? 0) + 1;
  }
}

/** The feed that an item is about. Throws what reading it throws. */
function feedOf({ kind, bytes }: RangeItem): { readonly author: PeerId; readonly channel: Channel } {
  if (kind === 'proof') return verifyForkProof(bytes);
  if (kind === 'erasure') return verifyErasure(bytes);
  const { author, header } = decodeEntry(bytes);
  return { author, channel: header.channel };
}
