import type { RecordState } from '../../open-dialog/record.ts';
import type { RecordKey } from '../../wire/ids.ts';
import type { BookParts, Case } from './types.ts';

/** Contracts whose newest news is kept in memory. */
const KEPT = 16_384;
/** News looked at: what is no party's word does not count, and hides what is as far back as this. */
const PINGS = 100;

/** When contracts last moved. */
export interface LastSteps {
  /** Time of the newest step that counts, by its signer, milliseconds since 1970: a statement, news, a rating. 0 for none. */
  of(held: Case): Promise<number>;
  /** News of a contract has come or gone. */
  changed(contract: RecordKey): void;
}

/** `isNews` says whether a ping is a party's word. */
export function createLastSteps(
  { reader, ratedAt }: Pick<BookParts, 'reader' | 'ratedAt'>,
  isNews: (held: Case, ping: RecordState) => boolean,
): LastSteps {
  const news = new Map<RecordKey, number>();
  let changes = 0;

  async function newsOf(held: Case): Promise<number> {
    const { key } = held.state;
    const known = news.get(key);
    if (known !== undefined) return known;
    const version = changes;
    const pings = await reader.newestInChannel('pings', key, PINGS);
    const newest = Math.max(0, ...pings.filter((ping) => isNews(held, ping)).map(toldAt));
    // What came while this was read is in no row that was read for sure.
    if (version === changes) news.set(key, newest);
    const [oldest] = news.keys();
    if (news.size > KEPT && oldest !== undefined) news.delete(oldest);
    return newest;
  }

  return {
    async of(held) {
      const counted = new Set(held.verdict.counted);
      const steps = held.known.flatMap(({ transition: { hash, at } }) => (counted.has(hash) ? [at] : []));
      return Math.max(0, ...steps, await newsOf(held), (await ratedAt?.(held)) ?? 0);
    },
    changed(contract) {
      changes++;
      news.delete(contract);
    },
  };
}

/** When its author says that news was told, milliseconds since 1970. */
export function toldAt({ view, created }: RecordState): number {
  const { sentAt } = view;
  return typeof sentAt === 'number' ? sentAt : created[0];
}
