import type { RecordState } from '../../open-dialog/record.ts';
import type { RecordKey } from '../../wire/ids.ts';
import type { HeldContracts } from './held-contracts.ts';
import { releaseHolds } from './hold-release.ts';
import { notifyOfPing } from './news.ts';
import { keepAnswers, unrepeated } from './steps.ts';
import type { BookParts } from './types.ts';

type ReviewParts = Pick<BookParts, 'identity' | 'reader' | 'ledger' | 'now' | 'onPing' | 'onFailure'>;

/** Looks in the background at all contracts once, and then at what others wrote and at holds that are over. */
export class Reviewer {
  readonly #parts: ReviewParts;
  readonly #contracts: HeldContracts;
  readonly #toReview = new Set<RecordKey>();
  /** Those that could not be reviewed, for the next sweep. */
  readonly #failed = new Set<RecordKey>();
  readonly #newPings: RecordState[] = [];
  #reviewing: Promise<void> | undefined;
  #stopped = false;
  #unread = false;
  #ready: Promise<void>;

  constructor(parts: ReviewParts, contracts: HeldContracts) {
    this.#parts = parts;
    this.#contracts = contracts;
    this.#ready = this.#begin();
  }

  /** Resolves when all contracts are known; rejects when they cannot be read, until the next sweep. */
  get ready(): Promise<void> {
    return this.#ready;
  }

  #begin(): Promise<void> {
    const reading = this.#readAll();
    reading.then(
      () => this.resume(),
      (error: unknown) => {
        this.#unread = true;
        this.#parts.onFailure(error);
      },
    );
    return reading;
  }

  async #readAll(): Promise<void> {
    const contracts = this.#contracts;
    const listings = new Set<RecordKey>();
    for await (const state of this.#parts.reader.all('contracts')) {
      if (this.#stopped) return;
      const held = await contracts.of(state);
      if (held === undefined) continue;
      contracts.keep(held);
      const listing = contracts.stock.listingOf(held);
      if (listing !== undefined) listings.add(listing);
      if (unrepeated(held, contracts.self) !== undefined) this.#toReview.add(state.key);
    }
    // Interrupted by a stop: the other party's step was written, but not what follows for the listing.
    for (const listing of listings)
      if (!this.#stopped)
        await contracts.locks
          .run(listing, () => contracts.showAvailable(listing))
          .catch(this.#parts.onFailure);
  }

  /** A contract has changed; it is reviewed after `resume`. */
  changed(key: RecordKey): void {
    this.#toReview.add(key);
  }

  /** A progress report has arrived; the parties are notified after `resume`. */
  came(ping: RecordState): void {
    this.#newPings.push(ping);
  }

  /** Goes on with what there is to look at. */
  resume(): void {
    // While the contracts cannot be read it would fail at once, again and again: the sweep reads them.
    if (!this.#stopped && !this.#unread && (this.#toReview.size > 0 || this.#newPings.length > 0))
      this.#review();
  }

  #review(): void {
    this.#reviewing ??= this.#reviewAll()
      .catch(this.#parts.onFailure)
      .finally(() => {
        this.#reviewing = undefined;
        this.resume();
      });
  }

  async #reviewAll(): Promise<void> {
    await this.#ready;
    for (const key of this.#toReview) {
      if (this.#stopped) return;
      this.#toReview.delete(key);
      await this.review(key).catch((error: unknown) => {
        this.#failed.add(key);
        this.#parts.onFailure(error);
      });
    }
    for (let ping = this.#newPings.shift(); ping !== undefined; ping = this.#newPings.shift())
      await notifyOfPing(this.#parts, this.#contracts, ping);
  }

  /** Looks at one contract: releases its holds that are over, shows what it takes, repeats what the other party answered. */
  async review(key: RecordKey): Promise<void> {
    const contracts = this.#contracts;
    const seen = await contracts.load(key);
    if (seen === undefined) return;
    await contracts.renew(key, seen, async (held, changed, listing) => {
      const released = await releaseHolds(this.#parts, contracts, held);
      if (changed && !released && listing !== undefined) await contracts.showAvailable(listing);
      await keepAnswers(this.#parts, held);
    });
  }

  /** Resolves when nothing is left to look at. */
  async idle(): Promise<void> {
    await this.#ready;
    while (this.#reviewing !== undefined) await this.#reviewing;
  }

  /** Looks at holds that are over now, and again at what failed. */
  async sweep(): Promise<void> {
    if (this.#unread) {
      this.#unread = false;
      this.#ready = this.#begin();
    }
    await this.#ready;
    for (const key of [...this.#contracts.stock.overdue(this.#parts.now()), ...this.#failed])
      this.#toReview.add(key);
    this.#failed.clear();
    this.resume();
    await this.#reviewing;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#reviewing;
    await this.#ready.catch(() => undefined); // told when it failed
  }
}
