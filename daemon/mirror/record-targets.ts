import { readRating } from '../../protocols/market/rating.ts';
import type { RegisteredNode } from '../../protocols/registry/registry.ts';
import { parseRecordKey, publicIdOf, type RecordKey } from '../../protocols/wire/ids.ts';
import type { Target } from '../../storage/outbox.ts';
import { nodeTargets, target } from './previous-targets.ts';
import type { ProjectionParts } from './projection.ts';
import { rowOf } from './rows.ts';

export type TargetParts = Pick<ProjectionParts, 'db' | 'reader' | 'network'>;

/** Collections whose items depend on the record's content. */
const OF_CHANNEL: ReadonlySet<string> = new Set(['transitions', 'pings', 'messages', 'ratings']);

/** The items that a record takes part in. */
export async function recordTargets(
  { db, reader, network }: TargetParts,
  key: RecordKey,
): Promise<readonly Target[]> {
  const { collection = '', owner = '' } = parseRecordKey(key) ?? {};
  const state = OF_CHANNEL.has(collection) ? await reader.get(key) : undefined;
  switch (collection) {
    case 'listings':
      return [target('Listings', publicIdOf(key))];
    case 'prices':
      return [target('Prices', publicIdOf(key))];
    case 'trends':
      return [target('Trends', publicIdOf(key))];
    case 'conversations':
      return [target('Conversations', publicIdOf(key))];
    case 'contracts':
      return contractTargets(key);
    case 'transitions':
    case 'pings':
      return contractTargets(state?.channel);
    case 'messages':
      return state === undefined ? [] : [target('Messages', publicIdOf(state.channel), publicIdOf(key))];
    case 'ratings': {
      const contract = state && readRating(key, state.view, network, state.created[0]).contract;
      // Most are of contracts between others, of which nothing is held here.
      const held = contract === undefined ? undefined : await reader.get(contract as RecordKey);
      return held === undefined ? [] : contractTargets(held.key);
    }
    case 'nodes':
      return nodeTargets((await rowOf<RegisteredNode>(db, 'registry', owner))?.url ?? '');
    default:
      return [];
  }
}

function contractTargets(channel: string | undefined): Target[] {
  if (channel?.startsWith('contracts/') !== true) return [];
  return [target('Contracts', publicIdOf(channel)), target('Transactions', publicIdOf(channel))];
}
