import { agreedTerms } from '../../protocols/market/contract-book/agreed.ts';
import type { ContractBook, HeldContract } from '../../protocols/market/contract-book/types.ts';
import { nodeOf, parseParty } from '../../protocols/market/party.ts';
import { pairOf, type Quote } from '../../protocols/market/price-cells.ts';
import type { RecordState } from '../../protocols/open-dialog/record.ts';
import { listedTimes } from '../../protocols/open-dialog/record-times.ts';
import { parseRecordKey } from '../../protocols/wire/ids.ts';
import type { Reader } from '../../storage/reader.ts';

/** Contracts, and listings, read at once. */
const PAGE = 50;

/** The settled trades of this node's suppliers, as both parties signed them: those that moved at `since` or later, milliseconds since 1970. */
export async function* settledTrades(
  book: Pick<ContractBook, 'list'>,
  self: string,
  since: number,
): AsyncGenerator<Quote> {
  let cursor: string | undefined;
  do {
    const page = await book.list({ listingId: undefined, requestId: undefined }, PAGE, cursor, {
      operator: true,
    });
    for (const { held, movedAt } of page.items) {
      // The newest step comes first, and a settlement is one.
      if (movedAt !== undefined && movedAt < since) return;
      const trade = held === undefined ? undefined : tradeOf(held, self);
      if (trade !== undefined) yield trade;
    }
    cursor = page.cursor;
  } while (cursor !== undefined);
}

function tradeOf(held: HeldContract, self: string): Quote | undefined {
  const { contract, statements, verdict } = held;
  const { state } = verdict;
  const receipt: readonly string[] = verdict.receipt ?? [];
  if (state !== 'settled' || nodeOf(contract.supplier) !== self) return undefined;
  const settles = statements.filter(({ transition }) => receipt.includes(transition.hash));
  const goods = goodsOf(agreedTerms(held));
  if (settles.length === 0 || goods === undefined) return undefined;
  return {
    ...goods,
    by: pairOf(contract.parties),
    users: contract.parties.flatMap((party) => parseParty(party)?.user ?? []),
    at: Math.max(...settles.map(({ transition }) => transition.at)),
  };
}

/** The offers of this node's users that were listed at `since` or later and are still active. */
export async function* askingPrices(
  reader: Pick<Reader, 'list'>,
  self: string,
  since: number,
): AsyncGenerator<Quote> {
  let cursor: string | undefined;
  do {
    const page = await reader.list('listings', { fields: {} }, PAGE, cursor);
    for (const state of page.records) {
      // The newest change comes first, and none is before its listing.
      if (listedTimes(state).updated[0] < since) return;
      const asked = askOf(state, self);
      if (asked !== undefined) yield asked;
    }
    cursor = page.cursor;
  } while (cursor !== undefined);
}

function askOf({ key, view, created }: RecordState, self: string): Quote | undefined {
  const { type, status, userId, source } = view;
  const goods = goodsOf(view);
  if (goods === undefined || parseRecordKey(key)?.owner !== self) return undefined;
  // An offer made from an observed price is represented by that price already.
  if (type !== 'offer' || status !== 'active' || typeof userId !== 'string' || source !== undefined)
    return undefined;
  return { ...goods, by: userId, users: [userId], at: created[0] };
}

/** A title is not a name of goods: it is one seller's own text. */
function goodsOf(
  fields: RecordState['view'] = {},
): Pick<Quote, 'commodity' | 'unit' | 'currency' | 'price'> | undefined {
  const { commodity, unit, currency, price } = fields;
  return typeof commodity === 'string' &&
    typeof unit === 'string' &&
    typeof currency === 'string' &&
    typeof price === 'number'
    ? { commodity, unit, currency, price }
    : undefined;
}
