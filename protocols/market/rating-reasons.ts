import { AgrinetError } from '../errors.ts';
import { draftFact } from '../ledger/drafts.ts';
import type { Ledger } from '../ledger/types.ts';
import type { RecordState } from '../open-dialog/record.ts';
import { parseRecordKey, type RecordKey } from '../wire/ids.ts';
import { nodeOf } from './party.ts';

/** LBTAS (P3-014): a -1 needs a reason of at most this many words, which is never published. */
export const REASON_WORDS = 500;
/** Facts of one contract read of each node: a node that gives more hides only its own. */
const LOOKED_AT = 64;

export interface ReasonParts {
  readonly reader: {
    /** Live facts of a private channel, oldest first, at most so many of each owner. */
    factsOf(collection: string, channel: RecordKey, perOwner: number): Promise<readonly RecordState[]>;
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
    const last = (await this.#given(contract, nodeOf(from))).findLast(({ view }) => view['from'] === from);
    const reason = last?.view['reason'];
    return typeof reason === 'string' ? reason : undefined;
  }

  /** Writes a reason of a party of this node, unless it is the current one; true when it was written. Throws `contract-full`. */
  async write(contract: RecordKey, from: string, reason: string): Promise<boolean> {
    if ((await this.of(contract, from)) === reason) return false;
    if ((await this.#given(contract, nodeOf(from))).length >= LOOKED_AT)
      throw new AgrinetError(
        'contract-full',
        'this contract already has the maximum number of rating reasons',
      );
    const { ledger, now } = this.#parts;
    const fields = { from, reason, givenAt: now() };
    await ledger.write({
      keys: [contract],
      draft: (writer) => [draftFact(writer, 'rating-reasons', fields, contract)],
    });
    return true;
  }

  /** All that a node has given in a contract, the oldest first. */
  async #given(contract: RecordKey, node: string | undefined): Promise<readonly RecordState[]> {
    const facts = await this.#parts.reader.factsOf('rating-reasons', contract, LOOKED_AT);
    return facts.filter(({ key }) => parseRecordKey(key)?.owner === node);
  }
}
