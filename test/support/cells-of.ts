import { atOnce } from '../../protocols/ledger/turn.ts';
import { type Cell, type Quote, WeekQuotes } from '../../protocols/market/price-cells.ts';

/** The cells of these quotes, at once. */
export function cellsOf(quotes: Iterable<Quote>, monday: string, leastTrades: number): Cell[] {
  const week = new WeekQuotes(monday);
  for (const quote of quotes) week.add(quote);
  return atOnce(week.cells(leastTrades));
}
