import type { Erased, ErasurePort } from '../api/ports/erasure.ts';
import { AgrinetError } from '../protocols/errors.ts';
import { draftErasure, draftTombstone } from '../protocols/ledger/drafts.ts';
import { erasureStatements, statementsByEntry } from '../protocols/ledger/erasure-request.ts';
import type { Ledger } from '../protocols/ledger/types.ts';
import { parseParty } from '../protocols/market/party.ts';
import { KeyedQueue } from '../protocols/serial-queue.ts';
import type { RecordState } from '../protocols/open-dialog/record.ts';
import type { Identity, PeerId } from '../protocols/wire/identity.ts';
import {
  type Channel,
  parsePublicId,
  parseRecordKey,
  publicIdOf,
  recordKey,
  type RecordKey,
} from '../protocols/wire/ids.ts';
import type { Database } from '../storage/database.ts';
import type { SearchIndex } from '../storage/search/search-index.ts';
import { erasedRecords, purgeErased } from '../storage/purge.ts';
import type { Store } from '../storage/store.ts';
import type { EventLog } from './events/event-log.ts';

export interface ErasureParts {
  readonly identity: Identity;
  readonly db: Database;
  readonly store: Pick<Store, 'records' | 'recordOps' | 'attachments'>;
  readonly ledger: Ledger;
  readonly events: Pick<EventLog, 'forget'>;
  readonly search: Pick<SearchIndex, 'sweep'>;
  readonly now: () => number;
  /** For what cannot be undone: a clock that was wrong for a minute drops nothing. */
  readonly cautious: () => number;
  readonly warn: (message: string, fields: Record<string, unknown>) => void;
}

const EVIDENCE =
  'The ops are hashes from now on, here at once and at every node that follows this one once it has heard of it. What others hold as evidence stays with them: contracts, their transitions and terms, and ratings.';

/** Erases records of this node's own, and clears the disk after every erasure, its own or a peer's. */
export class Erasures implements ErasurePort {
  readonly #parts: ErasureParts;
  readonly #self: PeerId;
  #clearing: Promise<void> = Promise.resolve();
  #queued = false;
  #stopped = false;
  /** Of which ops were erased since the last clearing began. */
  readonly #fresh = new Set<RecordKey>();
  /** Each remaining erasure of a record is requested once: its first entry already starts the clearing, which asks for the same. */
  readonly #erasing = new KeyedQueue();

  constructor(parts: ErasureParts) {
    this.#parts = parts;
    this.#self = parts.identity.peerId;
  }

  async message(conversationId: string, messageId: string, userId: string | undefined): Promise<Erased> {
    const conversation = parsePublicId(conversationId, this.#self);
    const id = parsePublicId(messageId, this.#self);
    const channel = conversation && recordKey('conversations', conversation.owner, conversation.id);
    const key = id && recordKey('messages', id.owner, id.id);
    const known = key && (await this.#state(key));
    if (key === undefined || known?.exists !== true || known.channel !== channel)
      throw new AgrinetError('not-found', 'Not found');
    if (parseRecordKey(key)?.owner !== this.#self)
      throw new AgrinetError(
        'forbidden',
        'only the node of a message’s author can erase it; ask that node’s operator',
      );
    if (userId !== undefined && parseParty(known.view['from'])?.user !== userId)
      throw new AgrinetError('forbidden', 'only the user who sent a message, or the operator, can erase it');
    return this.#erase(key, known);
  }

  async listing(key: RecordKey): Promise<Erased> {
    const known = await this.#state(key);
    if (known === undefined || !(known.exists || known.tombstone))
      throw new AgrinetError('not-found', 'Not found');
    if (!known.tombstone)
      await this.#parts.ledger.write({
        keys: [key],
        draft: (_, read) => (read(key)?.tombstone === true ? [] : [draftTombstone(key, known.channel)]),
      });
    return this.#erase(key, known);
  }

  /** After a commit that erased ops. Never throws; what fails is repeated when writing resumes, or at the next start. */
  committed(records: readonly RecordKey[]): void {
    for (const key of records) this.#fresh.add(key);
    if (records.length > 0) void this.cleared();
  }

  /** Finishes what was interrupted, and waits for what is in progress: one clearing at a time; commits meanwhile share the next. */
  cleared(): Promise<void> {
    if (!this.#queued && !this.#stopped) {
      this.#queued = true;
      this.#clearing = this.#clearing.then(() => this.#clear());
    }
    return this.#clearing;
  }

  /** Ends what is in progress; the rest is cleared at the next start. */
  stop(): Promise<void> {
    this.#stopped = true;
    return this.#clearing;
  }

  async #clear(): Promise<void> {
    const { db, store, events, search, cautious, warn } = this.#parts;
    this.#queued = false;
    try {
      const taken = [...this.#fresh];
      this.#fresh.clear();
      const records = [...new Set([...taken, ...(await erasedRecords(db))])];
      for (const key of records) await this.#eraseRest(key);
      // First what may still be written, then what is.
      await events.forget(records.map(publicIdOf));
      const owners = new Set(records.flatMap(ownerOfListing));
      if (owners.size > 0) await search.sweep([...owners]);
      if (records.length > 0) await store.attachments.collect(this.#self, cautious());
      await purgeErased(db, records, (key) => !this.#fresh.has(key));
    } catch (error) {
      warn('erased content is still on the disk; it is cleared when writing resumes, or at the next start', {
        err: error,
      });
    }
  }

  async #state(key: RecordKey): Promise<RecordState | undefined> {
    return (await this.#parts.store.records([key]))[0];
  }

  async #erase(key: RecordKey, known: RecordState): Promise<Erased> {
    await this.#eraseOps(key, known.channel);
    await this.cleared();
    return { erased: true, evidence: EVIDENCE };
  }

  /** A node that was restored from a backup made before it erased a record may have written to it since. */
  async #eraseRest(key: RecordKey): Promise<void> {
    if (parseRecordKey(key)?.owner !== this.#self) return;
    const known = await this.#state(key);
    if (known?.erased === true) await this.#eraseOps(key, known.channel);
  }

  /** Cut off half-way, the rest is erased by the clearing of the next start. */
  #eraseOps(key: RecordKey, channel: Channel): Promise<void> {
    const { identity, store, ledger, now } = this.#parts;
    return this.#erasing.run(key, async () => {
      const statements = erasureStatements(this.#self, key, await store.recordOps(key), now());
      for (const some of statementsByEntry(statements))
        await ledger.write({ keys: [], draft: () => [draftErasure(identity, channel, some)] });
    });
  }
}

/** Listings alone are in the search index. */
function ownerOfListing(key: RecordKey): string[] {
  const parsed = parseRecordKey(key);
  return parsed?.collection === 'listings' ? [parsed.owner] : [];
}
