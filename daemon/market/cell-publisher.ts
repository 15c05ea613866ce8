import { type Draft, draftFact } from '../../protocols/ledger/drafts.ts';
import type { TurnEnv } from '../../protocols/cpu-slice.ts';
import { sliced, soleTurn } from '../../protocols/ledger/turn.ts';
import type { Ledger } from '../../protocols/ledger/types.ts';
import {
  cellPrice,
  closesAt,
  newestClosedWeek,
  type Quote,
  WeekQuotes,
} from '../../protocols/market/price-cells.ts';
import type { CellKind } from '../../protocols/market/price-kind.ts';
import { SerialQueue } from '../../protocols/serial-queue.ts';
import type { RecordState } from '../../protocols/open-dialog/record.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import type { Reader } from '../../storage/reader.ts';

export interface CellPublisherParts {
  readonly self: PeerId;
  readonly region: string;
  /** Trades behind a cell at least; 0: nothing is published. */
  readonly leastTrades: number;
  readonly ledger: Pick<Ledger, 'write'>;
  readonly reader: Pick<Reader, 'get'>;
  /** What was settled, and listed, at this time or later, milliseconds since 1970. */
  readonly quotes: Readonly<Record<CellKind, (since: number) => AsyncIterable<Quote>>>;
  /** Resolves when this node knows what it has published so far. Throws `rejoining`. */
  readonly awaitFence: () => Promise<void>;
  /** When own entries were last lost here, milliseconds since 1970; undefined for never. */
  readonly lostAt: () => Promise<number | undefined>;
  readonly now: () => number;
  readonly env: TurnEnv;
}

/** The outcome: `closed` with the number of cells published. `known`: the week was closed before. */
export interface CellLook {
  readonly week: string;
  readonly outcome: 'off' | 'known' | 'closed';
  readonly cells: number;
}

export interface CellPublisher {
  /** Closes the newest week that is over, unless that has been done. Throws `rejoining`, and what the ledger throws. */
  look(): Promise<CellLook>;
}

/**
 * Publishes the price signals of a week's trades and listings of this node. That a week is closed is a fact of its own, the same
 * bytes whenever it is written: it is written in one batch with the week's cells, and nothing more is ever written for that week. So
 * it survives whatever the cells do: a kill, a rebuild, and a restore, after which peers return it.
 */
export function createCellPublisher(parts: CellPublisherParts): CellPublisher {
  const { self, ledger, leastTrades, now } = parts;
  const looks = new SerialQueue();
  /** A fact is the same op in whatever epoch it is written. */
  const writer = { author: self, epoch: '' };

  const stands = (state: RecordState | undefined): boolean =>
    state?.exists === true || state?.tombstone === true;

  /** Weeks that were closed before own entries were lost may have been published: any that were not are left out permanently. */
  async function pricesOf(week: string): Promise<Draft[]> {
    const lostAt = await parts.lostAt();
    if (lostAt !== undefined && closesAt(week) <= lostAt) return [];
    const prices: Draft[] = [];
    const turn = soleTurn(parts.env);
    for (const kind of ['traded', 'asking'] as const) {
      const gathered = new WeekQuotes(week);
      for await (const quote of parts.quotes[kind](Date.parse(week))) {
        gathered.add(quote);
        if (turn.isOver()) await turn.next();
      }
      for (const cell of await sliced(gathered.cells(leastTrades), turn)) {
        const from = { node: self, region: parts.region, monday: week };
        prices.push(draftFact(writer, 'prices', cellPrice(kind, cell, from)));
        if (turn.isOver()) await turn.next();
      }
    }
    return prices;
  }

  async function look(): Promise<CellLook> {
    const week = newestClosedWeek(now());
    if (leastTrades === 0) return { week, outcome: 'off', cells: 0 };
    const closing = draftFact(writer, 'price-weeks', { week });
    if (stands(await parts.reader.get(closing.key))) return { week, outcome: 'known', cells: 0 };
    await parts.awaitFence();
    const prices = await pricesOf(week);
    const { records } = await ledger.write({
      keys: [closing.key],
      draft: (_, read) => (stands(read(closing.key)) ? [] : [closing, ...prices]),
    });
    return records.length === 0
      ? { week, outcome: 'known', cells: 0 }
      : { week, outcome: 'closed', cells: prices.length };
  }

  return { look: () => looks.run(look) };
}
