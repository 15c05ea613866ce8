import { createAlarms } from '../../daemon/alarms.ts';
import { createLogger } from '../../daemon/logger.ts';
import { openStore } from '../../daemon/open-store.ts';
import { createClock } from '../../protocols/feed/clock.ts';
import type { FeedState } from '../../protocols/feed/feed.ts';
import { createLedger } from '../../protocols/ledger/ledger.ts';
import type { Committed, Ledger } from '../../protocols/ledger/types.ts';
import { type Catalogue, createCatalogue } from '../../protocols/market/catalogue.ts';
import { rangeItems, rangeRequest } from '../../protocols/mycelium/range.ts';
import type { Merger } from '../../protocols/open-dialog/merger.ts';
import type { RecordState } from '../../protocols/open-dialog/record.ts';
import type { RecordKey } from '../../protocols/wire/ids.ts';
import type { Identity, PeerId } from '../../protocols/wire/identity.ts';
import { systemEnv } from '../../daemon/system-env.ts';
import { Database, type OpenOptions } from '../../storage/database.ts';
import { range } from '../../storage/keyspace.ts';
import type { LevelHome } from '../../storage/level.ts';
import { LevelFolder } from '../../storage/level-folder.ts';
import type { Store } from '../../storage/store.ts';
import { readRecordRow } from '../../storage/stored-record.ts';

/** A node without network and HTTP: the same database, recovery and ledger as the daemon's, quick to open and close. */
export interface LedgerNode {
  readonly self: PeerId;
  readonly db: Database;
  readonly store: Store;
  readonly ledger: Ledger;
  readonly catalogue: Catalogue;
  /** Kinds of the alarms raised since it was opened. */
  alarms(): string[];
  digestOf(author: PeerId): string;
  /** Every record that can be read, by key: its view, or `ended`. Throws when one cannot be read. */
  views(): Promise<Map<RecordKey, string>>;
  close(): Promise<void>;
}

const silent = createLogger({ logLevel: 'silent' });

/** Opens the node of a folder, as the daemon does at its start. It follows everybody. */
export async function openLedgerNode(
  dir: string,
  identity: Identity,
  merger: Merger,
  onCommit: (committed: Committed) => void = () => undefined,
  {
    home = new LevelFolder(dir),
    now = Date.now,
    credible = () => true,
    ...options
  }: Pick<OpenOptions, 'writeBufferBytes' | 'onMigration'> & {
    readonly home?: LevelHome;
    /** The wall clock of the own times. */
    readonly now?: () => number;
    readonly credible?: () => boolean;
  } = {},
): Promise<LedgerNode> {
  const db = await Database.openAt(home, systemEnv, options);
  const alarms = createAlarms(silent, Date.now);
  try {
    const store = await openStore(db, merger, async () => undefined, alarms, silent);
    const ledger = createLedger({
      identity,
      net: 'test',
      store,
      merges: merger,
      following: { followState: () => 'followed' },
      clock: createClock(now, { last: await store.ownTime(), credible }),
      env: systemEnv,
      refusal: () => undefined,
      onCommit,
      onAlarm: (alarm) => alarms.raise(alarm),
    });
    return {
      self: identity.peerId,
      db,
      store,
      ledger,
      catalogue: createCatalogue(ledger, identity.peerId, systemEnv),
      alarms: () => alarms.list().map(({ kind }) => kind),
      digestOf: (author) => store.digests.ownerDigest(author),
      async views() {
        const views = new Map<RecordKey, string>();
        for await (const [key, value] of db.level.iterator(range('records'))) {
          const { state } = readRecordRow(key, value);
          views.set(state.key, viewText(state));
        }
        return views;
      },
      async close() {
        await ledger.stop();
        await db.close();
      },
    };
  } catch (error) {
    await db.close();
    throw error;
  }
}

/** A record as one string; the order of fields does not matter. */
export function viewText(state: RecordState): string {
  if (state.tombstone || !state.exists) return 'ended';
  return JSON.stringify(Object.entries(state.view).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

/**
 * Pulls what `to` lacks of these authors' public feeds, by the range protocol's own functions. Returns the entries taken, and with `forks`
 * the proofs among them: then `from` may hold another branch, of which entries beyond the first are of no use.
 */
export async function pull(
  from: LedgerNode,
  to: LedgerNode,
  authors: readonly PeerId[],
  { forks = false }: { readonly forks?: boolean } = {},
): Promise<number> {
  let taken = 0;
  for (const author of authors) {
    const request = rangeRequest(author, 'public', to.store.feeds(author, 'public'));
    const bytes: Uint8Array[] = [];
    for await (const item of rangeItems(from.store, request)) {
      if (item.kind === 'proof' && !forks) throw new Error(`${author} has a fork`);
      if (item.kind === 'proof') taken += (await to.ledger.receiveProof(item.bytes)) === 'new' ? 1 : 0;
      else if (item.kind === 'erasure') await to.ledger.receiveErasure(item.bytes);
      else bytes.push(item.bytes);
    }
    for (const { kind, code } of await to.ledger.receive(bytes)) {
      if (kind === 'accept' || (forks && kind === 'fork')) taken++;
      else if (kind !== 'known' && !(forks && (kind === 'gap' || code === 'forked')))
        throw new Error(`an entry of ${author} became ${kind} ${code ?? ''}`);
    }
  }
  return taken;
}

/** Entries held of these authors. */
export function held(node: LedgerNode, authors: readonly PeerId[]): number {
  return authors
    .flatMap((author): readonly FeedState[] => node.store.feeds(author, 'public'))
    .reduce((n, feed) => n + feed.seq, 0);
}
