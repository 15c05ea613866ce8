import { evaluateContract } from '../../../protocols/market/contract/machine.ts';
import type { Contract } from '../../../protocols/market/contract/model.ts';
import type { Transition } from '../../../protocols/market/contract/statement.ts';
import { granted, grantOf } from '../../../protocols/market/contract/stock.ts';
import type { Committed } from '../../../protocols/ledger/types.ts';
import type { RecordKey } from '../../../protocols/wire/ids.ts';
import type { Chronicle } from './chronicle.ts';
import type { Member } from './member.ts';
import { OPERATOR } from './trade.ts';

interface Watched {
  readonly contract: Contract;
  /** The listing it takes from, by its public id; empty for none. */
  readonly listing: string;
  /** What each node holds of it. */
  readonly known: Map<Member, readonly Transition[]>;
}

/** Sees every statement that any node holds, and that no listing promises more than there is. */
export class StockWatch {
  readonly #chronicle: Chronicle;
  readonly #contracts = new Map<RecordKey, Watched>();
  /** What there was of each listing from its beginning; nobody lowers it. */
  readonly quantities = new Map<string, number>();
  readonly #changed = new Map<RecordKey, Set<Member>>();

  constructor(chronicle: Chronicle) {
    this.#chronicle = chronicle;
  }

  committed(member: Member, { changes }: Committed): void {
    for (const { after } of changes) {
      if (!after.channel.startsWith('contracts/')) continue;
      const key = after.channel as RecordKey; // a private channel is the key of its record
      this.#changed.set(key, (this.#changed.get(key) ?? new Set()).add(member));
    }
  }

  /** A node's disk may hold less than before: what it knows is looked at again when it runs. */
  forget(member: Member): void {
    for (const { known } of this.#contracts.values()) known.delete(member);
  }

  /** All contracts that a node holds, after its start. */
  async started(member: Member): Promise<void> {
    for await (const { key } of member.running?.reader.all('contracts') ?? [])
      this.#changed.set(key, (this.#changed.get(key) ?? new Set()).add(member));
  }

  get hasWork(): boolean {
    return this.#changed.size > 0;
  }

  async check(): Promise<void> {
    const listings = new Set<string>();
    for (const [key, members] of this.#changed)
      for (const member of members) listings.add(await this.#look(key, member));
    this.#changed.clear();
    for (const listing of listings) this.#checkListing(listing);
  }

  async #look(key: RecordKey, member: Member): Promise<string> {
    const { running } = member;
    const sight = await running?.book.get(key, OPERATOR).catch(() => undefined);
    const held = sight?.held;
    if (held === undefined) return '';
    const watched = this.#contracts.get(key) ?? {
      contract: held.contract,
      listing: held.binding.listing,
      known: new Map<Member, readonly Transition[]>(),
    };
    this.#contracts.set(key, watched);
    watched.known.set(
      member,
      held.statements.map(({ transition }) => transition),
    );
    return watched.listing;
  }

  #checkListing(listing: string): void {
    const quantity = this.quantities.get(listing);
    if (quantity === undefined) return;
    const grants = [...this.#contracts].flatMap(([key, watched]) => {
      if (watched.listing !== listing || !watched.contract.stock) return [];
      return [grantOf(key, evaluateContract(watched.contract, [...watched.known.values()].flat()))];
    });
    const sum = granted(grants);
    if (sum > quantity) this.#chronicle.violate(`${sum} of ${quantity} are promised of listing ${listing}`);
  }
}
