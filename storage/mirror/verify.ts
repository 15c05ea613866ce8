import { AgrinetError } from '../../protocols/errors.ts';
import type { Database } from '../database.ts';
import { itemKey, type Outbox, type Target } from '../outbox.ts';
import {
  type Attributes,
  isTombstone,
  itemSize,
  liveItem,
  sameContent,
  SOURCE,
  targetOf,
  VERSION,
} from './attributes.ts';
import type { Tables } from './client.ts';
import { countSources, sourceKeys } from './fill.ts';
import { isGiven } from './obstacle.ts';
import type { MirrorLimits } from './limits.ts';
import type { Difference, DifferenceKind, Projection, TableSpec } from './types.ts';

export interface VerifyParts {
  readonly db: Database;
  readonly outbox: Pick<Outbox, 'get'>;
  readonly tables: Pick<Tables, 'get' | 'scan'>;
  readonly projection: Projection;
  readonly incarnation: number;
  readonly newestVersion: () => number;
  /** Resolves when everything that was in the outbox at the call has been written. Throws `mirror-away`. */
  readonly drained: () => Promise<void>;
  readonly limits: Pick<MirrorLimits, 'scanPage' | 'itemBytes' | 'inFlight'>;
}

/** How much has been checked, of about how much. */
export interface VerifyProgress {
  readonly done: number;
  readonly total: number;
}

export interface VerifySummary {
  /** Items checked in each table. */
  readonly items: Readonly<Record<string, number>>;
  /** Of those, what the mirror never wrote: the old back end's own. */
  readonly foreign: Readonly<Record<string, number>>;
  /** Items that differ and wait in the outbox, or that DynamoDB does not take. */
  readonly pending: number;
  readonly differences: number;
}

export type VerifyStep =
  | { readonly kind: 'progress'; readonly progress: VerifyProgress }
  | { readonly kind: 'difference'; readonly difference: Difference }
  | { readonly kind: 'foreign'; readonly target: Target }
  | { readonly kind: 'end'; readonly summary: VerifySummary };

type Finding = DifferenceKind | 'foreign' | 'pending' | undefined;

/**
 * Compares every table with LevelDB: first each existing item, then each that should exist. What seems to differ is checked again
 * when the outbox has been written, so that an active node shows no difference that is only a delay. Holds one page in memory.
 */
export async function* verifyTables(parts: VerifyParts): AsyncGenerator<VerifyStep> {
  const { db, tables, projection, limits } = parts;
  const sources = await countSources(db);
  const items: Record<string, number> = {};
  const foreign: Record<string, number> = {};
  let pending = 0;
  let differences = 0;
  let done = 0;
  const step = (count: number): VerifyStep => {
    done += count;
    return { kind: 'progress', progress: { done, total: Math.max(2 * sources, done) } };
  };

  /** Those that differ still. */
  async function* recheck(targets: readonly Target[]): AsyncGenerator<VerifyStep> {
    for (let rest = targets, round = 0; rest.length > 0; round++) {
      await parts.drained();
      const found = await parallel(rest, limits.inFlight, (target) => look(parts, target));
      const again: Target[] = [];
      for (const [i, target] of rest.entries()) {
        const finding = found[i];
        if (finding === 'pending' && round < ROUNDS) again.push(target);
        else if (finding === 'pending') pending++;
        else if (finding !== undefined && finding !== 'foreign') {
          differences++;
          yield { kind: 'difference', difference: { ...target, kind: finding } };
        }
      }
      rest = again;
    }
  }

  for (const spec of projection.tables) {
    items[spec.name] = 0;
    foreign[spec.name] = 0;
    for await (const page of tables.scan(spec.name, limits.scanPage)) {
      const found = await parallel(page, limits.inFlight, (item) => compare(parts, spec, item));
      const suspects: Target[] = [];
      for (const [i, item] of page.entries()) {
        const target = targetOf(spec, item);
        if (target === undefined) continue;
        items[spec.name] = (items[spec.name] ?? 0) + 1;
        if (found[i] === 'foreign') {
          foreign[spec.name] = (foreign[spec.name] ?? 0) + 1;
          yield { kind: 'foreign', target };
        } else if (found[i] !== undefined) suspects.push(target);
      }
      yield* recheck(suspects);
      yield step(page.length);
    }
  }
  let chunk: string[] = [];
  for await (const key of sourceKeys(db)) {
    chunk.push(key);
    if (chunk.length < limits.scanPage) continue;
    yield* recheck(await missing(parts, chunk));
    yield step(chunk.length);
    chunk = [];
  }
  yield* recheck(await missing(parts, chunk));
  yield step(chunk.length);
  yield { kind: 'end', summary: { items, foreign, pending, differences } };
}

/** How often what waits in the outbox is waited for, before it is only counted. */
const ROUNDS = 2;

/** The items of some rows that should exist and do not. Existing ones have been checked. */
async function missing(parts: VerifyParts, keys: readonly string[]): Promise<Target[]> {
  const { projection, tables, limits } = parts;
  const all = await parallel(keys, limits.inFlight, (key) => projection.targets(key));
  const targets = [...new Map(all.flat().map((target) => [itemKey(target), target])).values()];
  const absent = await parallel(targets, limits.inFlight, async (target) => {
    if ((await tables.get(target)) !== undefined) return [];
    return (await projection.item(target)) === undefined ? [] : [target];
  });
  return absent.flat();
}

/** One item with its newest state on both sides. */
async function look(parts: VerifyParts, target: Target): Promise<Finding> {
  const spec = parts.projection.tables.find(({ name }) => name === target.table);
  if (spec === undefined) throw new AgrinetError('internal', `there is no table ${target.table}`);
  const item = await parts.tables.get(target);
  if (item !== undefined) return compare(parts, spec, item);
  const wanted = await parts.projection.item(target);
  if (wanted === undefined) return undefined;
  return (await outboxHas(parts, target, wanted.source, undefined)) === undefined ? 'missing' : 'pending';
}

async function compare(parts: VerifyParts, spec: TableSpec, item: Attributes): Promise<Finding> {
  const { projection, incarnation, newestVersion, limits } = parts;
  const target = targetOf(spec, item);
  if (target === undefined) return undefined;
  const wanted = await projection.item(target);
  if (wanted === undefined && item[VERSION] === undefined && item[SOURCE] === undefined) return 'foreign';
  let found: DifferenceKind | undefined;
  if (wanted === undefined) found = isTombstone(item) ? 'tombstone' : 'extra';
  else {
    const expected = liveItem(spec, target, wanted, [incarnation, 0]);
    if (itemSize(expected) > limits.itemBytes) return 'pending';
    if (!sameContent(expected, item)) found = 'differs';
    else if (!isGiven(item, incarnation, newestVersion())) found = 'version';
  }
  if (found === undefined) return undefined;
  const held = await outboxHas(parts, target, wanted?.source, item);
  if (held === undefined) return found;
  // A tombstone that waits to be removed is as it is to be.
  return held === 'waiting' && found === 'tombstone' ? undefined : 'pending';
}

/** Whether the outbox still has to process an item: to write it, or only to remove it later. */
async function outboxHas(
  { outbox, projection }: VerifyParts,
  target: Target,
  source: string | undefined,
  item: Attributes | undefined,
): Promise<'pending' | 'waiting' | undefined> {
  const id = itemKey(target);
  const isIt = (each: Target): boolean => itemKey(each) === id;
  let found: 'waiting' | undefined;
  // The source named by the item counts only when that row refers to the item.
  for (const key of new Set([id, source, item?.[SOURCE]?.S])) {
    const row = key === undefined ? undefined : await outbox.get(key);
    if (key === undefined || row === undefined) continue;
    const was = row.was?.some(isIt) === true;
    if (row.due !== undefined) found ??= was ? 'waiting' : undefined;
    else if (was || key === id || (await projection.targets(key)).some(isIt)) return 'pending';
  }
  return found;
}

async function parallel<T, R>(list: readonly T[], most: number, work: (each: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let i = next++; i < list.length; i = next++) results[i] = await work(list[i] as T); // i is within
  };
  await Promise.all(Array.from({ length: Math.min(most, list.length) }, worker));
  return results;
}
