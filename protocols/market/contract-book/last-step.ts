import { LRUCache } from 'lru-cache';
import { atMost } from '../../lru-bound.ts';
import type { RecordState } from '../../open-dialog/record.ts';
import type { RecordKey } from '../../wire/ids.ts';
import { isPingOf } from './news.ts';
import type { BookParts, HeldContract } from './types.ts';

/** Contracts whose newest news is kept in memory. */
const KEPT = 16_384;
/** Progress reports read: those that no party wrote do not count, and hide what is further back than this. */
const PINGS = 100;

/** When contracts last moved, milliseconds since 1970. */
export class LastSteps {
  readonly #reader: BookParts['reader'];
  readonly #ratedAt: BookParts['ratedAt'];
  readonly #news = new LRUCache<RecordKey, number>(atMost(KEPT));
  #changes = 0;

  constructor({ reader, ratedAt }: Pick<BookParts, 'reader' | 'ratedAt'>) {
    this.#reader = reader;
    this.#ratedAt = ratedAt;
  }

  /** Time of the newest step that counts, by its signer: a statement, news, a rating. 0 for none. */
  async of(held: HeldContract): Promise<number> {
    const applied = new Set(held.verdict.applied);
    const steps = held.statements.flatMap(({ transition: { hash, at } }) => (applied.has(hash) ? [at] : []));
    return Math.max(0, ...steps, await this.#newsOf(held), (await this.#ratedAt?.(held)) ?? 0);
  }

  /** When a contract was last changed: from an agreement on by steps alone, edits of its document are none. */
  async movedAt(held: HeldContract): Promise<number> {
    const stepped = await this.of(held);
    return held.agreed.length > 0 && stepped > 0 ? stepped : Math.max(stepped, held.state.updated[0]);
  }

  /** News of a contract has come or gone. */
  changed(contract: RecordKey): void {
    this.#changes++;
    this.#news.delete(contract);
  }

  async #newsOf(held: HeldContract): Promise<number> {
    const { key } = held.state;
    const known = this.#news.get(key);
    if (known !== undefined) return known;
    const version = this.#changes;
    const pings = await this.#reader.newestInChannel('pings', key, PINGS);
    const newest = Math.max(0, ...pings.filter((ping) => isPingOf(held, ping)).map(pingTime));
    // What arrived during the read may not be in the rows that were read.
    if (version === this.#changes) this.#news.set(key, newest);
    return newest;
  }
}

/** When the progress was reported, by its author's clock, milliseconds since 1970. */
export function pingTime({ view, created }: RecordState): number {
  const { sentAt } = view;
  return typeof sentAt === 'number' ? sentAt : created[0];
}
