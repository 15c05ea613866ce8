import { contractJson, transactionJson } from '../../api/contract-json.ts';
import { conversationJson, messageJson } from '../../api/conversation-json.ts';
import { listingJson, priceJson } from '../../api/records.ts';
import type { AuditLine } from '../../protocols/audit/chain.ts';
import { AgrinetError } from '../../protocols/errors.ts';
import type { ContractView } from '../../protocols/market/contract-book/types.ts';
import { placeOf } from '../../protocols/market/message-order.ts';
import { isLive, type RecordState } from '../../protocols/open-dialog/record.ts';
import type { HttpNode } from '../../protocols/registry/http-nodes.ts';
import type { RegisteredNode } from '../../protocols/registry/registry.ts';
import { parsePublicId, publicId, publicIdOf, recordKey, type RecordKey } from '../../protocols/wire/ids.ts';
import { fullKey, numberKey, type SublevelName } from '../../storage/keyspace.ts';
import type { StoredKey } from '../../storage/key-table.ts';
import type { ItemFields, ProjectedItem } from '../../storage/mirror/types.ts';
import type { NotificationRow } from '../../storage/notification-table.ts';
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
import type { ProjectionParts } from './projection.ts';
import { rowOf, rowsOf } from './rows.ts';
import type { TableName } from './tables.ts';

const OPERATOR = { operator: true } as const;
/** Digits of a line number in the keys of the audit log. */
const LINE_DIGITS = 12;

type Projected = Promise<ProjectedItem | undefined>;
type Fields = ItemFields | undefined;

/** The current item of a source row; undefined when there should be none. */
export class Items {
  readonly #parts: ProjectionParts;

  constructor(parts: ProjectionParts) {
    this.#parts = parts;
  }

  async of(table: TableName, first: string, second: string): Projected {
    switch (table) {
      case 'Listings':
        return this.#fromRecord('listings', first, (state) =>
          fieldsOf(listingJson(state, this.#parts.publicUrl)),
        );
      case 'Prices':
        return this.#fromRecord('prices', first, (state) => fieldsOf(priceJson(state)));
      case 'Trends':
        return this.#fromRecord('trends', first, trendItem);
      case 'Contracts':
        return this.#fromRecord('contracts', first, (state) => this.#contract(state));
      case 'Transactions':
        return this.#fromRecord('contracts', first, (state) => this.#transaction(state));
      case 'Conversations':
        return this.#fromRecord('conversations', first, (state) => this.#conversation(state, first));
      case 'Messages':
        return this.#fromRecord('messages', second, (state) =>
          publicIdOf(state.channel) === first && typeof placeOf(state) !== 'string'
            ? fieldsOf(messageJson(state, this.#parts.publicUrl))
            : undefined,
        );
      case 'NodeRegistry':
        return this.#node(first);
      case 'TransactionLogs':
        return this.#logLine(first, second);
      case 'Keys':
        return this.#fromRow<StoredKey>('apiKeys', first, keyItem);
      case 'Notifications': {
        const inner = `${encodeURIComponent(first.toWellFormed())}/${second}`;
        return this.#fromRow<NotificationRow>('notifications', inner, notificationItem);
      }
    }
  }

  /** From the live record that an id in the tables names. */
  async #fromRecord(
    collection: string,
    id: string,
    fields: (state: RecordState) => Fields | Promise<Fields>,
  ): Projected {
    const { reader, self } = this.#parts;
    const parsed = parsePublicId(id, self);
    if (parsed === undefined || publicId(parsed) !== id) return undefined;
    const state = await reader.get(recordKey(collection, parsed.owner, parsed.id));
    if (!isLive(state)) return undefined;
    const found = await fields(state);
    return found && { source: fullKey('records', state.key), fields: found };
  }

  async #fromRow<T>(name: SublevelName, inner: string, fields: (row: T) => ItemFields): Projected {
    const found = await rowOf<T>(this.#parts.db, name, inner);
    return found && { source: fullKey(name, inner), fields: fields(found) };
  }

  async #viewOf(key: RecordKey): Promise<ContractView | undefined> {
    try {
      return await this.#parts.contracts.get(key, OPERATOR);
    } catch (error) {
      if (error instanceof AgrinetError && error.code === 'not-found') return undefined;
      throw error;
    }
  }

  async #contract({ key }: RecordState): Promise<Fields> {
    const seen = await this.#viewOf(key);
    return seen && fieldsOf(contractJson(seen));
  }

  async #transaction({ key }: RecordState): Promise<Fields> {
    const seen = await this.#viewOf(key);
    if (seen?.held === undefined) return undefined;
    const { buyer, supplier } = seen.held.binding;
    const rated = await this.#parts.ratings.current(key, buyer, supplier);
    const json = transactionJson(seen, rated?.score ?? null);
    return json && fieldsOf(json);
  }

  async #conversation({ view }: RecordState, id: string): Promise<Fields> {
    const held = await this.#parts.conversations.find(OPERATOR, id);
    // To its participants an archived one is deleted.
    return held === undefined || view['archived'] === true ? undefined : fieldsOf(conversationJson(held));
  }

  /** Of several rows with one URL the active one, then the newest. */
  async #node(url: string): Projected {
    const { db, reader } = this.#parts;
    const all = [
      ...(await rowsOf<RegisteredNode>(db, 'registry')).filter((each) => each.row.url === url),
      ...(await rowsOf<HttpNode>(db, 'httpNodes')).filter((each) => each.row.origin === url),
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

  async #logLine(transactionId: string, stamp: string): Projected {
    const inner = numberKey(lineOfStamp(stamp) ?? 0, LINE_DIGITS);
    const line = await rowOf<AuditLine>(this.#parts.db, 'audit', inner);
    if (line === undefined || line.transactionId !== transactionId || logStamp(line) !== stamp)
      return undefined;
    return { source: fullKey('audit', inner), fields: logItem(line) };
  }
}
