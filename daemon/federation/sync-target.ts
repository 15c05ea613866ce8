import type { SyncOutcome, SyncSource } from '../../api/ports/exchange.ts';
import type { Env } from '../../protocols/env.ts';
import { AgrinetError } from '../../protocols/errors.ts';
import { isBehind } from '../../protocols/feed/frontier.ts';
import type { Ledger } from '../../protocols/ledger/types.ts';
import { CATCH_UP_LIMITS } from '../../protocols/mycelium/catch-up.ts';
import type { FrontierGroup } from '../../protocols/mycelium/frontier-page.ts';
import type { FeedSource } from '../../protocols/mycelium/ports.ts';
import { OwedFeeds } from '../../protocols/mycelium/owed-feeds.ts';
import { rangeRequest } from '../../protocols/mycelium/range.ts';
import { sealRequest } from '../../protocols/mycelium/signed-request.ts';
import { takeItems } from '../../protocols/mycelium/take-items.ts';
import { CpuTurn } from '../../protocols/wire/cpu-turn.ts';
import type { Identity, PeerId } from '../../protocols/wire/identity.ts';
import type { SourceTable } from '../../storage/source-table.ts';
import type { LegacyImporter } from './legacy-import.ts';
import type { Reporter } from './sync-outcomes.ts';
import type { SyncTarget } from './sync-parts.ts';

export interface LocalTargetParts {
  readonly env: Pick<Env, 'after' | 'bytes' | 'cpu' | 'monotonic'>;
  readonly identity: Identity;
  readonly net: string;
  readonly feeds: FeedSource;
  readonly ledger: Pick<Ledger, 'receive' | 'receiveProof' | 'receiveErasure'>;
  /** Whether feeds of this author are taken. */
  readonly follows: (author: PeerId) => boolean;
  /** Active registered nodes that have an address. */
  readonly sources: () => readonly SyncSource[];
  readonly sourceKey: (id: string) => string | undefined;
  readonly importer: LegacyImporter;
  readonly table: SourceTable;
  readonly renewCertificate: (peer: PeerId) => Promise<string>;
  /** Whether a source is left alone for what it has sent. */
  readonly isDistrusted: (id: string) => boolean;
  readonly onOutcome: (id: string, outcome: SyncOutcome, reporter: Reporter) => void;
  /** All that a source has shown of the feeds that hold promises of this node is held here. */
  readonly onOwnHeld: (id: string) => void;
  readonly now: () => number;
}

/** The paths for which a worker may have requests signed. */
const SIGNED_PATH = /^\/federation\/feeds(\/[A-Za-z0-9]+)?(\?[\x21-\x7e]*)?$/;

export interface LocalTarget extends SyncTarget {
  /** Looks at the source's whole frontier again at the next sync. */
  forget(id: string): void;
  /** Notes how a sync ended, and who says so. */
  note(id: string, outcome: SyncOutcome, reporter: Reporter): Promise<void>;
}

/** This node as the target of a sync: entries go through the ledger, the one way in. */
export function createLocalTarget(parts: LocalTargetParts): LocalTarget {
  const { identity, feeds, ledger, table } = parts;
  /** Frontiers after which nothing was lacking, and who was followed then. In memory: a restart may have lost entries. */
  const frontiers = new Map<string, { etag: string; following: string }>();

  const owed = new OwedFeeds({ self: identity.peerId, source: feeds, follows: parts.follows });
  /** Sources that had more feeds to give than one plan asks for: the next sync has to see their frontier again. */
  const unfinished = new Set<string>();

  const following = (): string =>
    parts
      .sources()
      .flatMap((source) => (source.kind === 'agrinetd' && parts.follows(source.id) ? [source.id] : []))
      .sort()
      .join();

  async function source(id: string): Promise<SyncSource | undefined> {
    const found = parts.sources().find((each) => each.id === id);
    if (found?.kind === 'agrinetd') {
      const known = frontiers.get(id);
      return known?.following === following() ? { ...found, etag: known.etag } : found;
    }
    if (found === undefined) return undefined;
    const etag = (await table.get(id))?.etag;
    const key = parts.sourceKey(id);
    return { ...found, ...(etag === undefined ? {} : { etag }), ...(key === undefined ? {} : { key }) };
  }

  async function note(id: string, outcome: SyncOutcome, reporter: Reporter): Promise<void> {
    const now = parts.now();
    const known = await table.get(id);
    const { etag, lastHash, error } = outcome;
    const legacy = id.startsWith('legacy:');
    if (!legacy && error === undefined && etag !== undefined && !unfinished.has(id))
      frontiers.set(id, { etag, following: following() });
    else frontiers.delete(id);
    const hash = lastHash ?? known?.lastHash;
    const kept = legacy ? (error === undefined ? etag : known?.etag) : undefined;
    await table.save({
      id,
      lastSyncAt: error === undefined ? now : (known?.lastSyncAt ?? 0),
      lastTryAt: now,
      received: outcome.received,
      imported: outcome.imported,
      refused: outcome.refused,
      bytes: outcome.bytes,
      ...(hash === undefined ? {} : { lastHash: hash }),
      ...(kept === undefined ? {} : { etag: kept }),
      ...(error === undefined ? {} : { error }),
    });
    parts.onOutcome(id, outcome, reporter);
    if (owed.isHeld(id)) parts.onOwnHeld(id);
  }

  return {
    forget: (id) => void frontiers.delete(id),
    source,
    async plan(id, pages) {
      if ((await source(id))?.kind !== 'agrinetd')
        throw new AgrinetError('source-unknown', `${id} is not an active registered node`);
      const turn = new CpuTurn(parts.env);
      /** Of feeds that may hold promises, and of those that something is lacking of: the rest of a frontier is not kept. */
      const promising: FrontierGroup[] = [];
      const lacking = new Map<string, Pick<FrontierGroup, 'author' | 'channel'>>();
      for await (const page of pages) {
        for (const group of page.groups) {
          await turn.pause();
          const { author, channel, items } = group;
          if (author !== identity.peerId && !parts.follows(author)) continue;
          if (author === identity.peerId || channel !== 'public') promising.push(group);
          if (isBehind(feeds.feeds(author, channel), items))
            lacking.set(`${author}|${channel}`, { author, channel });
        }
      }
      owed.shown(id, promising);
      if (lacking.size > CATCH_UP_LIMITS.wantedPerPeer) unfinished.add(id);
      else unfinished.delete(id);
      return [...lacking.values()]
        .slice(0, CATCH_UP_LIMITS.wantedPerPeer)
        .map(({ author, channel }) => rangeRequest(author, channel, feeds.feeds(author, channel)));
    },
    receive: (id, asked, items) => takeItems(ledger, id, asked, items, { turn: new CpuTurn(parts.env) }),
    importLegacy: (id, body, options) => parts.importer.take(id, body, options),
    async signRequest(id, method, path) {
      const found = await source(id);
      if (found?.kind !== 'agrinetd')
        throw new AgrinetError('source-unknown', `${id} is not an active registered node`);
      if ((method !== 'GET' && method !== 'POST') || !SIGNED_PATH.test(path))
        throw new AgrinetError('fields-invalid', 'path: only requests for feeds are signed');
      if (parts.isDistrusted(found.id))
        throw new AgrinetError(
          'peer-distrusted',
          `${found.url} sent what no honest node can have sent, and is left alone for a while; see agrinet status`,
        );
      return sealRequest(identity, {
        net: parts.net,
        receiver: found.id,
        method,
        path,
        time: parts.now(),
        nonce: parts.env.bytes(16),
      });
    },
    async renewCertificate(id) {
      const found = await source(id);
      if (found?.kind !== 'agrinetd')
        throw new AgrinetError('source-unknown', `${id} is not an active registered node`);
      return parts.renewCertificate(found.id);
    },
    noteSync: (id, outcome) => note(id, outcome, 'daemon'),
    note,
  };
}
