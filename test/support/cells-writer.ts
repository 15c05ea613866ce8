/**
 * A node that closes week after week in a process of its own, for whoever wants to kill it at any moment: `node cells-writer.ts DIR LIFE`.
 * Each life learns of later trades at other prices, so a week that was published anew would be told apart. It tells its parent of each week
 * that it has closed.
 */
import { createCellPublisher } from '../../daemon/market/cell-publisher.ts';
import { systemEnv } from '../../daemon/system-env.ts';
import { closesAt, type Quote } from '../../protocols/market/price-cells.ts';
import { identityFromSeed } from '../../protocols/wire/identity.ts';
import { isoDay } from '../../protocols/wire/iso-time.ts';
import { Reader } from '../../storage/reader.ts';
import { createInlineMerges } from './inline-merges.ts';
import { openLedgerNode } from './ledger-node.ts';

export interface ClosedWeek {
  readonly week: string;
  /** The life that has published it. */
  readonly life: number;
}

export const CELLS_IDENTITY = identityFromSeed(Buffer.alloc(32, 9));
/** Cells of each week: of one kind, all at the price that is their life's number. */
export const CELLS_A_WEEK = 20;
const FIRST = Date.parse('2026-01-05');
const WEEK_MS = 7 * 86_400_000;
const WEEKS = 400;

function tradesOf(since: number, life: number): Quote[] {
  return Array.from({ length: 6 * CELLS_A_WEEK }, (_, i) => ({
    commodity: `goods ${i % CELLS_A_WEEK}`,
    unit: 'kg',
    currency: 'KES',
    price: life,
    by: `pair ${i}`,
    users: [],
    at: since,
  }));
}

async function main(dir: string, life: number): Promise<void> {
  const node = await openLedgerNode(dir, CELLS_IDENTITY, createInlineMerges(systemEnv));
  let now = 0;
  const publisher = createCellPublisher({
    self: node.self,
    region: '',
    leastTrades: 5,
    ledger: node.ledger,
    reader: new Reader(node.db),
    quotes: {
      traded: async function* (since) {
        yield* tradesOf(since, life);
      },
      asking: async function* () {
        yield* [];
      },
    },
    awaitFence: async () => undefined,
    lostAt: async () => undefined,
    now: () => now,
    env: systemEnv,
  });
  for (let i = 0; i < WEEKS; i++) {
    now = closesAt(isoDay(FIRST + i * WEEK_MS));
    const { week, outcome } = await publisher.look();
    if (outcome === 'closed') process.send?.({ week, life } satisfies ClosedWeek);
  }
  await node.close();
  process.disconnect();
}

const [dir = '', life = ''] = process.argv.slice(2);
if (import.meta.main) await main(dir, Number(life));
