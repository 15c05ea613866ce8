import { contractJson, transactionJson } from '../../api/contract-json.ts';
import { conversationJson, messageJson } from '../../api/conversation-json.ts';
import { listingJson, priceJson } from '../../api/records.ts';
import type { AuditLine } from '../../protocols/audit/chain.ts';
import { AgrinetError } from '../../protocols/errors.ts';
import type { ContractBook, Sight } from '../../protocols/market/contract-book/types.ts';
import type { Conversations } from '../../protocols/market/conversations.ts';
import { placeOf } from '../../protocols/market/message-order.ts';
import { readRating } from '../../protocols/market/rating.ts';
import type { RatingsService } from '../../protocols/market/ratings.ts';
import { isLive, type RecordState } from '../../protocols/open-dialog/record.ts';
import type { HttpNode } from '../../protocols/registry/http-nodes.ts';
import type { RegisteredNode } from '../../protocols/registry/registry.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import {
  parsePublicId,
  parseRecordKey,
  publicId,
  recordKey,
  type RecordKey,
} from '../../protocols/wire/ids.ts';
import type { Database } from '../../storage/database.ts';
import {
  fullKey,
  innerKey,
  numberKey,
  range,
  type SublevelName,
  sublevelOf,
} from '../../storage/keyspace.ts';
import type { StoredKey } from '../../storage/key-table.ts';
import type { ItemFields, ProjectedItem, Projection } from '../../storage/mirror/types.ts';
import type { NotificationRow } from '../../storage/notification-table.ts';
import type { Target } from '../../storage/outbox.ts';
import type { Reader } from '../../storage/reader.ts';
import { openJson } from '../../storage/values.ts';
import { formerTargets, nodeTargets, target, TRACED } from './former.ts';
import {
  fieldsOf,
  keyItem,
  lineOfStamp,
  logItem,
  logStamp,
  nodeItem,
  notificationItem,
  trendItem,
} from './items.ts';
import { type TableName, TABLES } from './tables.ts';

const OPERATOR = { operator: true } as const;
/** Digits of a line number in the keys of the audit log. */
const LINE_DIGITS = 12;

const idOf = (key: string): string => {
  const parts = parseRecordKey(key);
  return parts === undefined ? key : publicId(parts);
};

export interface ProjectionParts {
  readonly db: Database;
  readonly reader: Pick<Reader, 'get'>;
  readonly self: PeerId;
  readonly network: string;
  readonly contracts: Pick<ContractBook, 'get'>;
  readonly conversations: Pick<Conversations, 'find'>;
  readonly ratings: Pick<RatingsService, 'standing'>;
}

/** What of this node stands in the tables of the old back end, in the shapes of its API. */
export function createProjection(parts: ProjectionParts): Projection {
  const { db, reader, self } = parts;

  async function row<T>(name: SublevelName, inner: string): Promise<T | undefined> {
    const key = fullKey(name, inner);
    const value = await db.level.get(key);
    return value && openJson<T>(key, value);
  }
  async function rows<T>(name: SublevelName): Promise<{ key: string; row: T }[]> {
    const found = await db.level.iterator(range(name)).all();
    return found.map(([key, value]) => ({ key, row: openJson<T>(key, value) }));
  }

  // -- from a row to its items

  function ofContract(channel: string | undefined): Target[] {
    if (channel?.startsWith('contracts/') !== true) return [];
    return [target('Contracts', idOf(channel)), target('Transactions', idOf(channel))];
  }
  async function ofRecord(key: RecordKey): Promise<Target[]> {
    const { collection = '', owner = '' } = parseRecordKey(key) ?? {};
    const state = OF_CHANNEL.has(collection) ? await reader.get(key) : undefined;
    switch (collection) {
      case 'listings':
        return [target('Listings', idOf(key))];
      case 'prices':
        return [target('Prices', idOf(key))];
      case 'trends':
        return [target('Trends', idOf(key))];
      case 'conversations':
        return [target('Conversations', idOf(key))];
      case 'contracts':
        return ofContract(key);
      case 'transitions':
      case 'pings':
        return ofContract(state?.channel);
      case 'messages':
        return state === undefined ? [] : [target('Messages', idOf(state.channel), idOf(key))];
      case 'ratings': {
        const contract = state && readRating(key, state.view, parts.network).contract;
        // Most are of contracts between others, of which nothing is held here.
        const held = contract === undefined ? undefined : await reader.get(contract as RecordKey);
        return held === undefined ? [] : ofContract(held.key);
      }
      case 'nodes':
        return nodeTargets((await row<RegisteredNode>('registry', owner))?.url ?? '');
      default:
        return [];
    }
  }

  // -- from an item to what it is

  /** The live record that an id in the tables names. */
  async function record(collection: string, id: string | undefined): Promise<RecordState | undefined> {
    const parsed = parsePublicId(id ?? '', self);
    if (parsed === undefined || publicId(parsed) !== id) return undefined;
    const state = await reader.get(recordKey(collection, parsed.owner, parsed.id));
    return isLive(state) ? state : undefined;
  }
  async function fromRecord(
    collection: string,
    id: string | undefined,
    fields: (state: RecordState) => ItemFields | undefined | Promise<ItemFields | undefined>,
  ): Promise<ProjectedItem | undefined> {
    const state = await record(collection, id);
    const found = state && (await fields(state));
    return state && found && { source: fullKey('records', state.key), fields: found };
  }
  async function sight(key: RecordKey): Promise<Sight | undefined> {
    try {
      return await parts.contracts.get(key, OPERATOR);
    } catch (error) {
      if (error instanceof AgrinetError && error.code === 'not-found') return undefined;
      throw error;
    }
  }
  async function transaction({ key }: RecordState): Promise<ItemFields | undefined> {
    const seen = await sight(key);
    if (seen?.held === undefined) return undefined;
    const { buyer, supplier } = seen.held.binding;
    const rated = await parts.ratings.standing(key, buyer, supplier);
    const json = transactionJson(seen, rated?.score ?? null);
    return json && fieldsOf(json);
  }
  /** Of several rows with one URL the active one, then the newest. */
  async function node(url: string): Promise<ProjectedItem | undefined> {
    const all = [
      ...(await rows<RegisteredNode>('registry')).filter((each) => each.row.url === url),
      ...(await rows<HttpNode>('httpNodes')).filter((each) => each.row.origin === url),
    ];
    const [best] = all.sort(
      (a, b) =>
        Number(b.row.status === 'active') - Number(a.row.status === 'active') ||
        b.row.registeredAt - a.row.registeredAt ||
        (a.key < b.key ? -1 : 1),
    );
    if (best === undefined || url === '') return undefined;
    const profile =
      'peerId' in best.row ? await reader.get(recordKey('nodes', best.row.peerId, 'profile')) : undefined;
    return { source: best.key, fields: nodeItem(best.row, isLive(profile) ? profile.view : undefined) };
  }
  async function logLine(transactionId: string, stamp: string): Promise<ProjectedItem | undefined> {
    const no = lineOfStamp(stamp);
    const inner = numberKey(no ?? 0, LINE_DIGITS);
    const line = await row<AuditLine>('audit', inner);
    if (line === undefined || line.transactionId !== transactionId || logStamp(line) !== stamp)
      return undefined;
    return { source: fullKey('audit', inner), fields: logItem(line) };
  }
  async function plain<T>(
    name: SublevelName,
    inner: string,
    fields: (row: T) => ItemFields,
  ): Promise<ProjectedItem | undefined> {
    const found = await row<T>(name, inner);
    return found && { source: fullKey(name, inner), fields: fields(found) };
  }

  return {
    tables: TABLES,
    async targets(source) {
      const name = sublevelOf(source);
      const inner = innerKey(source);
      if (name === 'records') return ofRecord(inner as RecordKey); // the keys of this sublevel are record keys
      if (name === 'apiKeys') return [target('Keys', inner)];
      if (name === 'notifications') return [notificationTarget(inner)];
      if (name === undefined || !TRACED.has(name)) return [];
      const value = await db.level.get(source);
      return value === undefined ? [] : formerTargets(source, value);
    },
    async item({ table, key: [first = '', second = ''] }) {
      switch (table as TableName) {
        case 'Listings':
          return fromRecord('listings', first, (state) => fieldsOf(listingJson(state)));
        case 'Prices':
          return fromRecord('prices', first, (state) => fieldsOf(priceJson(state)));
        case 'Trends':
          return fromRecord('trends', first, trendItem);
        case 'Contracts':
          return fromRecord('contracts', first, async ({ key }) => {
            const seen = await sight(key);
            return seen && fieldsOf(contractJson(seen));
          });
        case 'Transactions':
          return fromRecord('contracts', first, transaction);
        case 'Conversations':
          return fromRecord('conversations', first, async ({ view }) => {
            const held = await parts.conversations.find(OPERATOR, first);
            // To its participants an archived one is deleted.
            return held === undefined || view['archived'] === true
              ? undefined
              : fieldsOf(conversationJson(held));
          });
        case 'Messages':
          return fromRecord('messages', second, (state) =>
            idOf(state.channel) === first && typeof placeOf(state) !== 'string'
              ? fieldsOf(messageJson(state))
              : undefined,
          );
        case 'NodeRegistry':
          return node(first);
        case 'TransactionLogs':
          return logLine(first, second);
        case 'Keys':
          return plain<StoredKey>('apiKeys', first, keyItem);
        case 'Notifications':
          return plain<NotificationRow>(
            'notifications',
            `${encodeURIComponent(first.toWellFormed())}/${second}`,
            notificationItem,
          );
      }
    },
  };
}

/** Collections whose items are found by what the record says. */
const OF_CHANNEL: ReadonlySet<string> = new Set(['transitions', 'pings', 'messages', 'ratings']);

function notificationTarget(inner: string): Target {
  const slash = inner.indexOf('/');
  return target('Notifications', decodeURIComponent(inner.slice(0, slash)), inner.slice(slash + 1));
}
