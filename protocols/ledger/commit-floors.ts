import type { Floor } from '../open-dialog/floor.ts';
import type { OpRef } from '../open-dialog/record.ts';
import { collectionOf } from '../open-dialog/schema.ts';
import type { RecordKey } from '../wire/ids.ts';
import type { Erasing } from './erasing.ts';
import type { FloorsToCome, LedgerStore } from './ports.ts';

type Feed = Pick<OpRef, 'author' | 'channel' | 'epoch'>;

/** Where the records of one commit begin. */
export class CommitFloors {
  readonly #store: Pick<LedgerStore, 'floor' | 'coverOf'>;
  readonly #erasing: Pick<Erasing, 'unfloored'>;
  /** Records that begin there from this commit on. */
  readonly #raised = new Map<RecordKey, FloorsToCome>();

  constructor(store: Pick<LedgerStore, 'floor' | 'coverOf'>, erasing: Pick<Erasing, 'unfloored'>) {
    this.#store = store;
    this.#erasing = erasing;
  }

  raise(key: RecordKey, to: FloorsToCome): void {
    this.#raised.set(key, to);
  }

  /**
   * Undefined where a record begins at its genesis, and where its floor was erased. A fact needs none while its op is held, which says
   * the same.
   */
  async of(key: RecordKey, hasOps: boolean): Promise<Floor | undefined> {
    if (this.#erasing.unfloored.has(key)) return undefined;
    if (hasOps && collectionOf(key)?.kind === 'fact') return undefined;
    return (this.#raised.get(key) ?? this.#store).floor(key);
  }

  coverOf(key: RecordKey, feed: Feed): number {
    return (this.#raised.get(key) ?? this.#store).coverOf(key, feed);
  }
}
