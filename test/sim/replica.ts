import { createClock } from '../../protocols/feed/clock.ts';
import { frontierOf } from '../../protocols/feed/frontier.ts';
import { createLedger } from '../../protocols/ledger/ledger.ts';
import type { Alarm, Ledger, Received } from '../../protocols/ledger/types.ts';
import type { Merges } from '../../protocols/open-dialog/merger.ts';
import { mergeChanges } from '../../protocols/open-dialog/merge.ts';
import type { PlacedOp, RecordState } from '../../protocols/open-dialog/record.ts';
import type { Identity, PeerId } from '../../protocols/wire/identity.ts';
import type { RecordKey } from '../../protocols/wire/ids.ts';
import { rebuildDamaged } from '../../daemon/rebuild.ts';
import { systemEnv } from '../../daemon/system-env.ts';
import { Database } from '../../storage/database.ts';
import { innerKey, range } from '../../storage/keyspace.ts';
import type { ListedVerdict } from '../../storage/commit-rows.ts';
import { Store } from '../../storage/store.ts';
import { readRecordRow } from '../../storage/stored-record.ts';
import { verifiedJson } from '../../storage/values.ts';
import { tempDir } from '../support/temp-dir.ts';

export const NET = 'sim';

/** Automerge itself, without a worker. */
const inline: Merges = {
  merge: async (key, { changes, floor }) => mergeChanges(key, changes, floor),
};

/** Everything about what a replica holds that must not depend on how it came. */
export interface Picture {
  readonly records: Record<string, RecordState>;
  readonly verdicts: Record<string, unknown>;
  readonly digests: Record<string, unknown>;
  readonly frontiers: Record<string, unknown>;
}

/** A ledger over a real database, without a network. */
export class Replica {
  readonly identity: Identity;
  readonly alarms: Alarm[] = [];
  /** Entries that this replica wrote, in order. */
  readonly written: { author: PeerId; channel: string; epoch: string; seq: number; bytes: Uint8Array }[] = [];
  readonly #dir: { path: string; remove(): void };
  readonly #suspended = new Set<string>();
  #db: Database;
  store: Store;
  ledger: Ledger;

  private constructor(identity: Identity, dir: { path: string; remove(): void }, db: Database, store: Store) {
    this.#dir = dir;
    this.identity = identity;
    this.#db = db;
    this.store = store;
    this.ledger = this.#newLedger();
  }

  static async open(identity: Identity): Promise<Replica> {
    const dir = tempDir('sim');
    const db = await Database.open(dir.path, systemEnv);
    return new Replica(identity, dir, db, await Store.open(db));
  }

  #newLedger(): Ledger {
    return createLedger({
      identity: this.identity,
      net: NET,
      store: this.store,
      merges: inline,
      // The histories are short: late changes are to be told without all the others here too.
      wholeOps: 0,
      following: { followState: (author) => (this.#suspended.has(author) ? 'suspended' : 'followed') },
      clock: createClock(Date.now),
      env: systemEnv,
      refusal: () => undefined,
      onCommit: ({ entries, local }) => {
        for (const { author, header, bytes } of local ? entries : [])
          this.written.push({ author, channel: header.channel, epoch: header.epoch, seq: header.seq, bytes });
      },
      onAlarm: (alarm) => this.alarms.push(alarm),
    });
  }

  suspend(author: PeerId): void {
    this.#suspended.add(author);
  }

  resume(author: PeerId): void {
    this.#suspended.delete(author);
  }

  /** A new process on the same disk: a new epoch, nothing cached. */
  async restart(): Promise<void> {
    await this.ledger.drain();
    await this.#db.close();
    this.#db = await Database.open(this.#dir.path, systemEnv);
    this.store = await Store.open(this.#db);
    this.ledger = this.#newLedger();
  }

  /** As `agrinet rebuild`: everything derived anew. */
  async rebuild(): Promise<void> {
    await this.ledger.drain();
    const { store, problems } = await rebuildDamaged(this.#db, inline, () => undefined);
    if (problems.length > 0) throw new Error(`rebuild found problems: ${JSON.stringify(problems)}`);
    this.store = store;
    this.ledger = this.#newLedger();
  }

  receive(entries: readonly Uint8Array[]): Promise<Received[]> {
    return this.ledger.receive(entries);
  }

  async state(key: RecordKey): Promise<RecordState | undefined> {
    return (await this.store.records([key]))[0];
  }

  async keys(): Promise<RecordKey[]> {
    const keys: RecordKey[] = [];
    for await (const key of this.#db.level.keys(range('records'))) keys.push(innerKey(key) as RecordKey);
    return keys;
  }

  /** Every op of a record that stands below the forks of its feed. */
  async effectiveOps(key: RecordKey): Promise<PlacedOp[]> {
    const ops = await this.store.recordOps(key);
    return ops.filter(
      (op) => op.seq < (this.store.feed(op.author, op.channel, op.epoch)?.fork?.seq ?? Infinity),
    );
  }

  /** What it shows. A record of which nothing has effect is as good as none, and so are verdicts at or above a fork. */
  async picture(): Promise<Picture> {
    const records: Record<string, RecordState> = {};
    for await (const [key, value] of this.#db.level.iterator(range('records'))) {
      const { state } = readRecordRow(key, value);
      if (state.ops > 0) records[state.key] = state;
    }
    const verdicts: Record<string, unknown> = {};
    for await (const [key, value] of this.#db.level.iterator(range('verdicts'))) {
      const { ref, verdict, key: about } = verifiedJson<ListedVerdict>(key, value);
      const fork = this.store.feed(ref.author, ref.channel, ref.epoch)?.fork?.seq ?? Infinity;
      if (ref.seq < fork)
        verdicts[`${ref.author}|${ref.channel}|${ref.epoch}|${ref.seq}|${ref.index}`] = { verdict, about };
    }
    const digests: Record<string, unknown> = {};
    const frontiers: Record<string, unknown> = {};
    for (const { author, channel, feeds } of this.store.feedGroups()) {
      frontiers[`${author}|${channel}`] = frontierOf(feeds);
      const owners = [...this.store.digests.of(channel)].map(([owner, sums]) => [
        owner,
        Object.fromEntries(sums),
      ]);
      digests[channel] = Object.fromEntries(owners);
    }
    return { records, verdicts, digests, frontiers };
  }

  async close(): Promise<void> {
    await this.ledger.drain();
    await this.#db.close();
    this.#dir.remove();
  }
}
