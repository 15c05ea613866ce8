import { createLogger } from '../../daemon/logger.ts';
import { checkDerived, type Problem } from '../../daemon/check-derived.ts';
import { Forget } from '../../daemon/forget/forget.ts';
import { folderBytes } from '../../daemon/folder-bytes.ts';
import { openStore } from '../../daemon/open-store.ts';
import { surveyFeeds } from '../../daemon/feed-survey.ts';
import { Scrub } from '../../daemon/scrub/scrub.ts';
import { ownerDigest } from '../../protocols/digest/state-digest.ts';
import { createClock } from '../../protocols/feed/clock.ts';
import { createLedger } from '../../protocols/ledger/ledger.ts';
import type { Ledger } from '../../protocols/ledger/types.ts';
import type { Merger } from '../../protocols/open-dialog/merger.ts';
import type { RegisteredNode } from '../../protocols/registry/registry.ts';
import type { Identity } from '../../protocols/wire/identity.ts';
import { systemEnv } from '../../daemon/system-env.ts';
import { Database } from '../../storage/database.ts';
import { range, type SublevelName } from '../../storage/keyspace.ts';
import { LegacyTable } from '../../storage/legacy-table.ts';
import { Reader } from '../../storage/reader.ts';
import type { Store } from '../../storage/store.ts';
import { NET } from './forge.ts';

/** A node's storage, ledger and forgetting as the daemon composes them, without network and HTTP. */
export interface Forgetter {
  readonly db: Database;
  readonly store: Store;
  readonly ledger: Ledger;
  readonly forget: Forget;
  /** Status by peer id; whoever is not in it is not registered. */
  readonly status: Map<string, RegisteredNode['status']>;
  /** Whom it was told of that they are forgotten. */
  readonly told: readonly string[];
  digestOf(author: string): string;
  rows(name: SublevelName): Promise<number>;
  /** What fsck, and then a scrub, find wrong. */
  wrong(): Promise<unknown[]>;
  close(): Promise<void>;
}

const silent = createLogger({ logLevel: 'silent' });

export async function openForgetter(
  folder: string,
  identity: Identity,
  merger: Merger,
  status = new Map<string, RegisteredNode['status']>(),
): Promise<Forgetter> {
  const told: string[] = [];
  const db = await Database.open(folder, systemEnv);
  const store = await openStore(db, merger, async () => undefined, { raise: () => undefined }, silent);
  const ledger = createLedger({
    identity,
    net: NET,
    store,
    merges: merger,
    following: {
      followState: (author) =>
        store.gaps.sweeping !== author && status.get(author) === 'active' ? 'followed' : 'no',
    },
    clock: createClock(Date.now),
    env: systemEnv,
    refusal: () => undefined,
    onCommit: () => undefined,
    onAlarm: () => undefined,
  });
  const forget = new Forget({
    self: identity.peerId,
    net: NET,
    db,
    store,
    reader: new Reader(db),
    ledger,
    registry: {
      get: (id) => {
        const held = status.get(id);
        return held && ({ peerId: id, status: held } as RegisteredNode); // all that is looked at
      },
    },
    httpNodes: { get: () => undefined },
    legacy: new LegacyTable(db),
    onForgotten: async ({ id }) => void told.push(id),
    log: () => undefined,
    events: { forget: async () => undefined },
    search: { sweep: async () => undefined },
    folderBytes: () => folderBytes(db.folder),
    now: Date.now,
    cautious: Date.now,
  });
  return {
    db,
    store,
    ledger,
    forget,
    status,
    told,
    digestOf: (author) => ownerDigest(store.digests.ofOwner('public', author)),
    async rows(name) {
      let rows = 0;
      for await (const key of db.level.keys(range(name))) rows += key === '' ? 0 : 1;
      return rows;
    },
    async wrong() {
      const found: unknown[] = (await surveyFeeds(db, () => undefined)).problems;
      await checkDerived(db, found as Problem[], true);
      const scrub = new Scrub({
        db,
        store,
        merges: merger,
        alone: (work) => ledger.alone(work),
        onRepaired: () => undefined,
        onWrong: (wrong) => found.push(wrong),
        log: (_, fields) => found.push(fields),
        env: systemEnv,
      });
      scrub.start();
      await scrub.run();
      await scrub.stop();
      return found;
    },
    async close() {
      await forget.stop();
      await ledger.stop();
      await db.close();
    },
  };
}
