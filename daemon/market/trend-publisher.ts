import { SerialQueue } from '../../protocols/serial-queue.ts';
import type { Published, TrendsPort } from '../../api/ports/trends.ts';
import { draftFact } from '../../protocols/ledger/drafts.ts';
import type { Ledger } from '../../protocols/ledger/types.ts';
import type { makeSnapshot, RegionCount, Snapshot } from '../../protocols/market/trend-snapshot.ts';
import { dueAt } from '../../protocols/wire/deadlines.ts';
import type { RecordState } from '../../protocols/open-dialog/record.ts';
import { parseRecordKey, publicId } from '../../protocols/wire/ids.ts';
import type { Reader } from '../../storage/reader.ts';

export interface TrendPublisherParts {
  readonly self: string;
  readonly region: string;
  /** Between two snapshots; 0: none by itself. */
  readonly hours: number;
  readonly ledger: Pick<Ledger, 'write'>;
  readonly reader: Pick<Reader, 'list'>;
  /** Makes one of the prices held; undefined without any. */
  readonly snapshot: (from: Parameters<typeof makeSnapshot>[1]) => Promise<Snapshot | undefined>;
  readonly transactions: TrendsPort['transactions'];
  readonly now: () => number;
}

export interface TrendPublisher {
  /** Publishes when something has changed since the last snapshot. */
  publish(): Promise<Published>;
  /** The same, at most once in this many hours; for a timer that does not know of earlier runs of this node. */
  publishIfDue(): Promise<Published>;
}

interface Last {
  readonly id: string;
  readonly body: string;
  readonly publishedAt: number;
}

const HOUR_MS = 3_600_000;
/** Snapshots read to find this node's last one: others publish once a day. */
const LOOK_BACK = 5000;
const PAGE = 50;
/** Regions counted; beyond that, which no node has, the rest is left out. */
const REGIONS = 10_000;

/** Publishes what trends this node sees, as facts that any peer with the same prices can make again. */
export function createTrendPublisher(parts: TrendPublisherParts): TrendPublisher {
  const { self, region, hours, ledger, now } = parts;
  let last: Promise<Last | undefined> | undefined;
  /** Two wishes at once do not publish twice. */
  const wishes = new SerialQueue();

  async function lastOwn(): Promise<Last | undefined> {
    last ??= newestOf(parts.reader, self);
    last.catch(() => (last = undefined));
    return last;
  }

  async function publish(dueOnly: boolean): Promise<Published> {
    const known = await lastOwn();
    const at = now();
    if (
      dueOnly &&
      (hours === 0 ||
        (known !== undefined && dueAt(known.publishedAt + hours * HOUR_MS, at, hours * HOUR_MS) > at))
    )
      return { id: known?.id, published: false, reason: 'not-due' };
    const transactions = await countsByRegion(parts.transactions());
    const snapshot = await parts.snapshot({ region, publishedAt: at, transactions });
    if (snapshot === undefined) return { id: known?.id, published: false, reason: 'no-prices' };
    if (snapshot.body === known?.body) return { id: known.id, published: false, reason: 'unchanged' };
    const { records } = await ledger.write({
      keys: [],
      draft: (pen) => [draftFact(pen, 'trends', { ...snapshot })],
    });
    const key = parseRecordKey(records[0]?.key);
    const id = key === undefined ? '' : publicId(key);
    last = Promise.resolve({ id, body: snapshot.body, publishedAt: at });
    return { id, published: true };
  }

  return {
    publish: () => wishes.run(() => publish(false)),
    publishIfDue: () => wishes.run(() => publish(true)),
  };
}

/** Only what this node supplies: added up over all nodes, each transaction is counted once. */
async function countsByRegion(transactions: ReturnType<TrendsPort['transactions']>): Promise<RegionCount[]> {
  const counts = new Map<string, number>();
  for await (const { ours, region } of transactions)
    if (ours && (counts.has(region) || counts.size < REGIONS))
      counts.set(region, (counts.get(region) ?? 0) + 1);
  return [...counts].map(([region, count]) => ({ region, count }));
}

async function newestOf(reader: Pick<Reader, 'list'>, owner: string): Promise<Last | undefined> {
  let cursor: string | undefined;
  for (let seen = 0; seen < LOOK_BACK; seen += PAGE) {
    const page = await reader.list('trends', { fields: {} }, PAGE, cursor);
    for (const state of page.records) {
      const last = lastOf(state, owner);
      if (last !== undefined) return last;
    }
    cursor = page.cursor;
    if (cursor === undefined) return undefined;
  }
  return undefined;
}

function lastOf({ key, view }: RecordState, owner: string): Last | undefined {
  const parts = parseRecordKey(key);
  const { body, publishedAt } = view;
  if (parts?.owner !== owner || typeof body !== 'string' || typeof publishedAt !== 'number') return undefined;
  return { id: publicId(parts), body, publishedAt };
}
