import { AgrinetError } from '../protocols/errors.ts';
import type { BatchOp } from './keyspace.ts';
import type { Database } from './database.ts';
import { soleTurn } from '../protocols/ledger/turn.ts';

/** Batches that build on one another: each is written after the one before it, and fails with it. */
export class CommitLine {
  readonly #db: Database;
  #last: Promise<void> = Promise.resolve();
  #failures = 0;

  constructor(db: Database) {
    this.#db = db;
  }

  get failures(): number {
    return this.#failures;
  }

  /** Resolves when the batch is written. It fails with the one before it, and when one has failed since there were so many failures. */
  add(ops: BatchOp[], sync: boolean, since: number): Promise<void> {
    const before = this.#last;
    const made = async (): Promise<BatchOp[]> => {
      await before;
      if (since === this.#failures) return ops;
      throw (
        this.#db.failure ?? new AgrinetError('storage-failed', 'the write before this one failed; try again')
      );
    };
    const written = this.#db.batch(made, sync, soleTurn(this.#db.env));
    this.#last = written;
    written.catch(() => {
      this.#failures++;
      // Readers from now on build on what is written.
      if (this.#last === written) this.#last = Promise.resolve();
    });
    return written;
  }
}
