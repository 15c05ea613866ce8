import type { Transaction } from '../../api/ports/trends.ts';
import type { HeldContract, ContractBook } from '../../protocols/market/contract-book/types.ts';
import { nodeOf } from '../../protocols/market/party.ts';

/** States of a contract from which on it is a transaction. */
const TRANSACTION: ReadonlySet<string> = new Set(['accepted', 'settled', 'disputed']);
/** Contracts read at once. */
const PAGE = 50;

/** The contracts held here from `accepted` on. Those whose supplier is of this node count for its region. */
export async function* heldTransactions(
  book: Pick<ContractBook, 'list'>,
  { self, region }: { readonly self: string; readonly region: string },
): AsyncGenerator<Transaction> {
  let cursor: string | undefined;
  do {
    const page = await book.list({ listingId: undefined, requestId: undefined }, PAGE, cursor, {
      operator: true,
    });
    for (const { held, state } of page.items)
      if (held !== undefined && TRANSACTION.has(held.verdict.state))
        yield transactionOf({ ...held, state }, self, region);
    cursor = page.cursor;
  } while (cursor !== undefined);
}

function transactionOf(
  { state, contract, statements, verdict }: HeldContract,
  self: string,
  region: string,
): Transaction {
  const { supplier } = contract;
  const accepts = statements.filter(({ transition }) =>
    verdict.agreement === undefined
      ? transition.kind === 'accept'
      : transition.hash === verdict.agreement.accept,
  );
  const { view } = state;
  const dueAt = Date.parse(String(view['deliveryWindow.end'] ?? view['dateNeeded'] ?? ''));
  return {
    contract: state.key,
    supplier,
    region,
    // According to its signer; for what is in no statement, when the contract last changed.
    acceptedAt: Math.min(state.updated[0], ...accepts.map(({ transition }) => transition.at)),
    ...(Number.isNaN(dueAt) ? {} : { dueAt }),
    open: verdict.state !== 'settled',
    ours: nodeOf(supplier) === self,
  };
}
