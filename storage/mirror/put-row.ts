import { AgrinetError, errorMessage } from '../../protocols/errors.ts';
import { isOfOneRecord } from '../../protocols/unread.ts';
import { itemKey, itemOf, type OutboxRow, type Target } from '../outbox.ts';
import { type Attributes, isTombstone, itemSize, liveItem, tombstone, versionOf } from './attributes.ts';
import type { Demand, Tables } from './client.ts';
import { obstacleOf } from './obstacle.ts';
import type { KeyedQueue } from '../../protocols/serial-queue.ts';
import type { MirrorLimits } from './limits.ts';
import type { Projection, TableSpec, Version } from './types.ts';

/** Counts of the writes. */
export interface MirrorCounts {
  written: number;
  tombstoned: number;
  removed: number;
  overtaken: number;
  failures: number;
}

export interface PutParts {
  readonly tables: Pick<Tables, 'get' | 'put' | 'removeTombstone'>;
  readonly projection: Projection;
  readonly incarnation: number;
  /** The highest version this process has given. */
  readonly newestVersion: () => number;
  /** Whether this process still holds the tables. */
  readonly isHeld: () => Promise<boolean>;
  readonly counts: MirrorCounts;
  readonly now: () => number;
  readonly limits: Pick<MirrorLimits, 'graceMs' | 'itemBytes'>;
  readonly queue: KeyedQueue;
}

/** Others may change the same item between a failed condition and the read after it: this many attempts are made. */
const ROUNDS = 8;

/**
 * Replicates one row of the outbox: puts what its items are now, tombstones in the place of those that are not to be there, and
 * in their time removes these. Gives what replaces the row, undefined when it is dealt with. Any order and any repetition give the
 * same tables, since each write demands something older. Throws the errors of `Tables` and `mirror-displaced`.
 */
export async function putRow(parts: PutParts, key: string, row: OutboxRow): Promise<OutboxRow | undefined> {
  const { projection } = parts;
  const own = itemOf(key);
  const waiting: Target[] = [];
  const reasons: string[] = [];
  const now =
    row.due === undefined ? (own === undefined ? await targetsOf(projection, key, reasons) : [own]) : [];
  const targets = new Map([...now, ...(row.was ?? [])].map((target) => [itemKey(target), target]));
  for (const [id, target] of targets) {
    try {
      const waits = await parts.queue.run(id, () => putItem(parts, key, target, row));
      if (waits) waiting.push(target);
    } catch (error) {
      if (!(error instanceof AgrinetError) || !LASTING.has(error.code)) throw error;
      reasons.push(`${target.table} ${target.key.join(' ')}: ${error.message}`);
    }
  }
  const { n, at } = row;
  const was = waiting.length === 0 ? {} : { was: waiting };
  if (reasons.length > 0) return { n, at, ...was, refused: reasons.join('; ').slice(0, 1000) };
  if (waiting.length === 0) return undefined;
  return { n, at, ...was, due: parts.now() + parts.limits.graceMs, incarnation: parts.incarnation };
}

/** Errors that no retry fixes: they are reported, and tried again when the row changes. */
const LASTING = new Set(['mirror-item-refused', 'value-damaged', 'key-malformed']);

async function targetsOf(projection: Projection, key: string, reasons: string[]): Promise<readonly Target[]> {
  try {
    return await presented(() => projection.targets(key));
  } catch (error) {
    if (!(error instanceof AgrinetError) || !LASTING.has(error.code)) throw error;
    reasons.push(error.message);
    return [];
  }
}

/** The item of a row. If it cannot be made because of the row itself, no retry fixes it, and the others must not wait for it. */
async function presented<T>(make: () => Promise<T>): Promise<T> {
  try {
    return await make();
  } catch (error) {
    if (error instanceof AgrinetError || !isOfOneRecord(error)) throw error;
    throw new AgrinetError('mirror-item-refused', `it cannot be shown: ${errorMessage(error)}`, {
      cause: error,
    });
  }
}

/** True when there is still something to be removed, or to be checked again. */
async function putItem(parts: PutParts, key: string, target: Target, row: OutboxRow): Promise<boolean> {
  const { projection, tables, incarnation, counts } = parts;
  const version: Version = [incarnation, row.n];
  const spec = specOf(projection, target);
  const wanted = await presented(() => projection.item(target));
  if (wanted !== undefined) {
    // It is there again: whatever wrote it has a row of its own.
    if (row.due !== undefined) return false;
    const item = liveItem(spec, target, wanted, version);
    const bytes = itemSize(item);
    if (bytes > parts.limits.itemBytes)
      throw new AgrinetError(
        'mirror-item-refused',
        `the item has ${bytes} bytes; DynamoDB accepts at most ${parts.limits.itemBytes}`,
      );
    const outcome = await write(parts, target, item, version, { kind: 'older', than: version });
    if (outcome === 'written') counts.written++;
    else counts.overtaken++;
    return false;
  }
  if (row.due !== undefined) {
    if (await tables.removeTombstone(target, [row.incarnation ?? 0, row.n])) {
      counts.removed++;
      return false;
    }
  } else if (row.fill === true) return false;
  const stone = tombstone(spec, target, key, version);
  const outcome = await write(parts, target, stone, version, { kind: 'there-and-older', than: version });
  if (outcome === 'written') counts.tombstoned++;
  // There is no item; an older write may still be in flight, so it is checked once more when none can arrive.
  return outcome === 'written' || outcome === 'own' || (outcome === 'absent' && row.due === undefined);
}

/** `own`: this very write was done before, and its answer was lost. */
type Written = 'written' | 'own' | 'newer' | 'absent' | 'foreign';

async function write(
  parts: PutParts,
  target: Target,
  item: Attributes,
  version: Version,
  wanted: Demand,
): Promise<Written> {
  const { tables } = parts;
  let demand = wanted;
  for (let round = 0; round < ROUNDS; round++) {
    if (await tables.put(target.table, item, demand)) return 'written';
    const there = await tables.get(target);
    const obstacle = obstacleOf(there, version, parts.newestVersion());
    switch (obstacle) {
      case 'absent':
      case 'foreign':
        if (wanted.kind === 'there-and-older') return obstacle;
        demand = wanted;
        break;
      case 'newer':
        return there !== undefined && isOwn(there, item, version) ? 'own' : 'newer';
      case 'older':
        demand = wanted;
        break;
      case 'beyond':
        if (!(await parts.isHeld()))
          throw new AgrinetError('mirror-displaced', 'a newer process writes to these tables');
        if (there !== undefined) demand = { kind: 'seen', item: there };
        break;
      case 'planted':
        if (there !== undefined) demand = { kind: 'seen', item: there };
        break;
    }
  }
  throw new AgrinetError(
    'mirror-away',
    `${target.table} ${target.key.join(' ')}: keeps being changed by others`,
  );
}

function isOwn(there: Attributes, item: Attributes, [incarnation, n]: Version): boolean {
  const [i, m] = versionOf(there) ?? [];
  return i === incarnation && m === n && isTombstone(there) === isTombstone(item);
}

function specOf({ tables }: Projection, { table }: Target): TableSpec {
  const spec = tables.find(({ name }) => name === table);
  if (spec === undefined) throw new AgrinetError('mirror-item-refused', `there is no table ${table}`);
  return spec;
}
