import { AgrinetError } from '../../errors.ts';
import { draftEdit } from '../../ledger/drafts.ts';
import { isLive, type RecordState } from '../../open-dialog/record.ts';
import type { PeerId } from '../../wire/identity.ts';
import type { RecordKey } from '../../wire/ids.ts';
import { available } from '../contract/stock.ts';
import { nodeOf } from '../party.ts';
import { ContractLoader } from './contract-loader.ts';
import { KeyedQueue } from '../../serial-queue.ts';
import { GrantedStock } from './granted-stock.ts';
import { OpenDeals } from './open-deals.ts';
import type { BookParts, HeldContract } from './types.ts';

export const notFound = (): AgrinetError => new AgrinetError('not-found', 'Not found');

/**
 * The contracts that this node holds, what they take from its listings, and the order in which they change: the state shared by all
 * parts of the book.
 */
export class HeldContracts {
  readonly self: PeerId;
  readonly stock: GrantedStock;
  readonly deals = new OpenDeals();
  /** One at a time for each contract, and for each listing as far as grants change; edits of a listing share its lock. */
  readonly locks = new KeyedQueue();
  readonly #parts: Pick<BookParts, 'reader' | 'ledger'>;
  readonly #loader: ContractLoader;
  /** Contracts with an agreement, and the other node. */
  readonly #agreed = new Map<RecordKey, string>();
  /** Those whose stock may not show yet what they take. */
  readonly #changed = new Set<RecordKey>();

  constructor(parts: Pick<BookParts, 'identity' | 'reader' | 'ledger' | 'history' | 'net'>) {
    this.#parts = parts;
    this.self = parts.identity.peerId;
    this.stock = new GrantedStock(this.self);
    this.#loader = new ContractLoader(parts.reader, parts.history, parts.net, this.self);
  }

  /** A contract of two from its record and its statements; undefined if it is not one. */
  of(state: RecordState | undefined): Promise<HeldContract | undefined> {
    return this.#loader.load(state);
  }

  async load(key: RecordKey): Promise<HeldContract | undefined> {
    return this.of(await this.#parts.reader.get(key));
  }

  /** Its document or one of its statements has changed. */
  changed(channel: RecordKey): void {
    this.#loader.changed(channel);
    this.#changed.add(channel);
  }

  /** Updates the state of a contract; under its lock. True when what it takes from a listing has changed. */
  keep(held: HeldContract): boolean {
    const { key } = held.state;
    const other = held.contract.parties.map(nodeOf).find((node) => node !== this.self) ?? this.self;
    if (isTransaction(held)) this.#agreed.set(key, other);
    else this.#agreed.delete(key);
    this.deals.note(held);
    return this.stock.note(held);
  }

  async reload(held: HeldContract): Promise<HeldContract> {
    const again = await this.load(held.state.key);
    if (again === undefined) throw notFound();
    this.keep(again);
    return again;
  }

  /** The listing is locked first, then the contract, so nobody waits in the opposite order. */
  inOrder<T>(listing: RecordKey | undefined, key: RecordKey, work: () => Promise<T>): Promise<T> {
    const withContract = (): Promise<T> => this.locks.run(key, work);
    return listing === undefined ? withContract() : this.locks.run(listing, withContract);
  }

  /**
   * Updates the state of a contract, which was just `seen`, and does what follows from it, under its locks. Its flag is cleared
   * under the listing's lock: a caller that misses it waits for that lock.
   */
  async renew(
    key: RecordKey,
    seen: HeldContract | undefined,
    follow: (held: HeldContract, changed: boolean, listing: RecordKey | undefined) => Promise<void>,
  ): Promise<void> {
    const listing = seen && this.stock.listingOf(seen);
    await this.inOrder(listing, key, async () => {
      this.#changed.delete(key);
      const held = await this.load(key);
      if (held !== undefined) await follow(held, this.keep(held), listing);
    });
  }

  /** Counts what changed contracts take up to now; changes that arrive meanwhile are not waited for. */
  async updateStock(): Promise<void> {
    const changed = [...this.#changed];
    for (const key of changed)
      await this.renew(key, await this.load(key), async (_, differs, listing) => {
        if (differs && listing !== undefined) await this.showAvailable(listing);
      });
  }

  /** Writes the remaining quantity of a listing; under its lock. */
  async showAvailable(key: RecordKey): Promise<void> {
    await this.#parts.ledger.write({
      keys: [key],
      draft: (writer, read) => {
        const listing = read(key);
        const quantity = listing?.view['quantity'];
        if (!isLive(listing) || typeof quantity !== 'number') return [];
        const left = available(quantity, this.stock.grants(key));
        return [draftEdit(writer, key, 'public', listing, { available: left })];
      },
    });
  }

  /** Agreed contracts with the users of another node. */
  agreedWith(peer: string): RecordKey[] {
    return [...this.#agreed].flatMap(([key, other]) => (other === peer ? [key] : []));
  }
}

/** From `accepted` on it is what old clients call a transaction. */
function isTransaction({ statements, verdict }: HeldContract): boolean {
  const applied = new Set(verdict.applied);
  const { state } = verdict;
  if (state === 'accepted' || state === 'settled' || state === 'disputed') return true;
  return (
    state === 'cancelled' &&
    statements.some(({ transition: t }) => t.kind === 'accept' && applied.has(t.hash))
  );
}
