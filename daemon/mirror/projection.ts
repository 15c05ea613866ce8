import type { ContractBook } from '../../protocols/market/contract-book/types.ts';
import type { Conversations } from '../../protocols/market/conversations.ts';
import type { Ratings } from '../../protocols/market/ratings.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import type { RecordKey } from '../../protocols/wire/ids.ts';
import type { Database } from '../../storage/database.ts';
import { innerKey, sublevelOf } from '../../storage/keyspace.ts';
import type { Projection } from '../../storage/mirror/types.ts';
import type { Target } from '../../storage/outbox.ts';
import type { Reader } from '../../storage/reader.ts';
import { previousTargets, target, TRACED } from './previous-targets.ts';
import { Items } from './project-item.ts';
import { recordTargets, type TargetParts } from './record-targets.ts';
import { type TableName, TABLES } from './tables.ts';

export interface ProjectionParts {
  readonly db: Database;
  readonly reader: Pick<Reader, 'get'>;
  readonly self: PeerId;
  readonly network: string;
  /** Where attachments are served. */
  readonly publicUrl?: string | undefined;
  readonly contracts: Pick<ContractBook, 'get'>;
  readonly conversations: Pick<Conversations, 'find'>;
  readonly ratings: Pick<Ratings, 'current'>;
}

/** What of this node is in the tables of the old back end, in the shapes of its API. */
export function createProjection(parts: ProjectionParts): Projection {
  const items = new Items(parts);
  return {
    tables: TABLES,
    targets: (source) => targetsOf(parts, source),
    item: ({ table, key: [first = '', second = ''] }) => items.of(table as TableName, first, second),
  };
}

/** The items that a row takes part in. */
async function targetsOf(parts: TargetParts, source: string): Promise<readonly Target[]> {
  const name = sublevelOf(source);
  const inner = innerKey(source);
  if (name === 'records') return recordTargets(parts, inner as RecordKey); // the keys of this sublevel are record keys
  if (name === 'apiKeys') return [target('Keys', inner)];
  if (name === 'notifications') return [notificationTarget(inner)];
  if (name === undefined || !TRACED.has(name)) return [];
  const value = await parts.db.level.get(source);
  return value === undefined ? [] : previousTargets(source, value);
}

function notificationTarget(inner: string): Target {
  const slash = inner.indexOf('/');
  return target('Notifications', decodeURIComponent(inner.slice(0, slash)), inner.slice(slash + 1));
}
