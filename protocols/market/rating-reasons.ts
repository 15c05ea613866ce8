import { draftFact } from '../ledger/drafts.ts';
import type { Ledger } from '../ledger/types.ts';
import { isLive, type RecordState } from '../open-dialog/record.ts';
import { parseRecordKey, type RecordKey } from '../wire/ids.ts';
import { nodeOf } from './party.ts';

/** LBTAS (P3-014): a -1 needs a reason of at most so many words, which never enters the commons. */
export const REASON_WORDS = 500;
/** Facts of one contract that are looked at, the newest: two parties give few. */
const LOOKED_AT = 64;

export interface ReasonParts {
  readonly reader: {
    newestInChannel(collection: string, channel: RecordKey, limit: number): Promise<readonly RecordState[]>;
  };
  readonly ledger: Pick<Ledger, 'write'>;
  readonly now: () => number;
}

/** Why a party of a contract gave -1: facts in the contract's own channel, which only the nodes of its parties hold. */
export class RatingReasons {
  readonly #parts: ReasonParts;

  constructor(parts: ReasonParts) {
    this.#parts = parts;
  }

  /** The reason that a party gave last; undefined without one. */
  async of(contract: RecordKey, from: string): Promise<string | undefined> {
    const facts = await this.#parts.reader.newestInChannel('rating-reasons', contract, LOOKED_AT);
    const own = facts.find(
      (fact) =>
        isLive(fact) && fact.view['from'] === from && parseRecordKey(fact.key)?.owner === nodeOf(from),
    );
    const reason = own?.view['reason'];
    return typeof reason === 'string' ? reason : undefined;
  }

  /** Writes a reason of a party of this node, unless it is the one that stands; true when it was written. */
  async write(contract: RecordKey, from: string, reason: string): Promise<boolean> {
    if ((await this.of(contract, from)) === reason) return false;
    const { ledger, now } = this.#parts;
    const fields = { from, reason, givenAt: now() };
    await ledger.write({
      keys: [contract],
      draft: (writer) => [draftFact(writer, 'rating-reasons', fields, contract)],
    });
    return true;
  }
}
