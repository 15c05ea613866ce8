import type {
  ExchangePort,
  LegacyReader,
  ShownFeed,
  SyncOutcome,
  SyncSource,
} from '../../api/ports/exchange.ts';
import type { Coverage } from '../../protocols/digest/coverage.ts';
import type { Env } from '../../protocols/env.ts';
import { AgrinetError } from '../../protocols/errors.ts';
import { frontierOf, isWhole } from '../../protocols/feed/frontier.ts';
import { hasGap } from '../../protocols/feed/gap.ts';
import type { Ledger } from '../../protocols/ledger/types.ts';
import type { Offences } from '../../protocols/mycelium/offences.ts';
import type { FeedSource } from '../../protocols/mycelium/ports.ts';
import { rangeItems } from '../../protocols/mycelium/range.ts';
import { openRequest, RequestNonces } from '../../protocols/mycelium/signed-request.ts';
import type { Registry } from '../../protocols/registry/registry.ts';
import type { Identity, PeerId } from '../../protocols/wire/identity.ts';
import type { Channel } from '../../protocols/wire/ids.ts';
import { ChangeOrder } from '../../storage/change-order.ts';
import type { Database } from '../../storage/database.ts';
import { LegacyTable } from '../../storage/legacy-table.ts';
import type { Reader } from '../../storage/reader.ts';
import type { SourceTable } from '../../storage/source-table.ts';
import { createLegacyImporter, IMPORT_LIMITS } from './legacy-import.ts';
import { spool } from './spool.ts';
import type { SyncTarget } from './sync-parts.ts';
import { reportedOutcome, type Reporter } from './sync-outcomes.ts';
import { createLocalTarget, type LocalTarget } from './sync-target.ts';

/** `GET /federation/sync` is public: however often it is called, sources are asked once in this time. */
export const COALESCE_MS = 60_000;

export interface ExchangeParts {
  readonly env: Pick<Env, 'after' | 'bytes' | 'cpu' | 'monotonic'>;
  readonly identity: Identity;
  readonly net: string;
  readonly db: Database;
  readonly reader: Reader;
  readonly feeds: FeedSource;
  readonly ledger: Pick<Ledger, 'receive' | 'receiveProof' | 'receiveErasure'>;
  readonly registry: Pick<Registry, 'isActive' | 'standing'>;
  /** Whom this node can sync with over HTTP. */
  readonly sources: () => SyncSource[];
  /** How far it has come with each of them. */
  readonly table: SourceTable;
  /** What an old back end is to be asked with. */
  readonly sourceKey: (id: string) => string | undefined;
  readonly mayHold: (peer: string, channel: Channel) => boolean;
  /** Shared with what comes over libp2p. */
  readonly offences: Pick<Offences, 'isOut'>;
  readonly digestOf: (author: PeerId, covers: Coverage) => string;
  readonly totalDigest: (covers: Coverage) => string;
  /** Makes anew what the entries of an author stand for. */
  readonly scrubAuthor: (author: PeerId) => Promise<void>;
  readonly addJob: (
    data: { readonly source: string; readonly force: boolean },
    key: string,
  ) => Promise<{ readonly id: string; readonly state: string }>;
  /** Asks the node key of a peer about the certificate that it shows now. */
  readonly renewCertificate: (peer: PeerId) => Promise<string>;
  readonly onOutcome: (id: string, outcome: SyncOutcome, reporter: Reporter) => void;
  /** All that a source has shown of the feeds that hold promises of this node is held here. */
  readonly onOwnHeld: (id: string) => void;
  /** Frontiers with connected peers, at once. */
  readonly syncNow: () => void;
  readonly now: () => number;
  /** A clock that nobody sets, milliseconds; default `now`. */
  readonly steady?: () => number;
}

export interface Exchange {
  readonly port: ExchangePort;
  /** For the handler of `federation-sync` jobs in this process. */
  readonly target: SyncTarget;
}

/** Export, import and pulls over HTTP of this node. */
export function createExchange(parts: ExchangeParts): Exchange {
  const { identity, db, feeds, registry, sources, now } = parts;
  const steady = parts.steady ?? now;
  const changes = new ChangeOrder(db, parts.reader);
  const legacyTable = new LegacyTable(db);
  const importer = createLegacyImporter(legacyTable, parts.env, now);
  const nonces = new RequestNonces();
  let queuedAt = -Infinity;

  /** What is held of the source is made anew from its feeds; what is lacking comes with the sync, whose frontier is seen again. */
  async function rebuildFrom(source: SyncSource): Promise<void> {
    if (source.kind !== 'agrinetd') return;
    target.forget(source.id);
    await parts.scrubAuthor(source.id);
  }

  const target: LocalTarget = createLocalTarget({
    env: parts.env,
    identity,
    net: parts.net,
    feeds,
    ledger: parts.ledger,
    follows: (author) => registry.standing(author) === 'followed',
    sources,
    sourceKey: parts.sourceKey,
    importer,
    table: parts.table,
    renewCertificate: parts.renewCertificate,
    isDistrusted: (id) => parts.offences.isOut(id, now()),
    onOutcome: parts.onOutcome,
    onOwnHeld: parts.onOwnHeld,
    now,
  });

  const legacy: LegacyReader = {
    sources: () => legacyTable.sources(),
    list: (collection, source, limit, cursor) => legacyTable.list(collection, source, limit, cursor),
  };

  /** The registered node of a URL: this very one, or its origin. */
  function sourceOf(sourceUrl: string): SyncSource {
    const plain = sourceUrl.replace(/\/+$/, '');
    const origin = originOf(sourceUrl);
    const all = sources();
    const found =
      all.find(({ url }) => url === plain) ??
      all.find(({ url }) => origin !== undefined && originOf(url) === origin);
    if (found !== undefined) return found;
    throw new AgrinetError(
      'source-unknown',
      'sourceUrl is not the URL of an active registered node; see agrinet nodes, and register it with agrinet join',
    );
  }

  const port: ExchangePort = {
    changes,
    feeds: {
      list: (signer, covers) =>
        feeds.feedGroups().flatMap(({ author, channel, feeds: group }): ShownFeed[] => {
          if (hasGap(feeds, group)) return [];
          if (channel === 'public' && isWhole(group))
            return [{ author, channel, items: frontierOf(group), digest: parts.digestOf(author, covers) }];
          if (channel === 'public') return [{ author, channel, items: frontierOf(group) }];
          return signer !== undefined && parts.mayHold(signer, channel)
            ? [{ author, channel, items: frontierOf(group) }]
            : [];
        }),
      totalDigest: parts.totalDigest,
      mayHold: parts.mayHold,
      range: (request) => rangeItems(feeds, request),
    },
    openRequest(header, method, path) {
      const at = now();
      const expected = { net: parts.net, receiver: identity.peerId, method, path, now: at };
      const { caller, nonce } = openRequest(header, expected);
      if (!registry.isActive(caller))
        throw new AgrinetError('request-unsigned', 'signed request: the caller is not registered here');
      nonces.use(caller, nonce, at);
      return caller;
    },
    legacy,
    sources,
    async pull(sourceUrl, force) {
      const source = sourceOf(sourceUrl);
      if (force) await rebuildFrom(source);
      return parts.addJob({ source: source.id, force }, source.id);
    },
    async syncAll() {
      const at = steady();
      if (at - queuedAt < COALESCE_MS)
        return { coalesced: true, next: now() + COALESCE_MS - (at - queuedAt) };
      queuedAt = at;
      try {
        parts.syncNow();
        const all = sources();
        for (const { id } of all) await parts.addJob({ source: id, force: false }, id);
        return { jobs: all.length };
      } catch (error) {
        queuedAt = -Infinity; // nothing was queued for certain: the next call tries again
        throw error;
      }
    },
    async importLegacy(source, body, { force, signal }) {
      const held = await spool(body, IMPORT_LIMITS.bodyBytes);
      try {
        return await importer.take(source, held, { force, signal });
      } finally {
        await held.close();
      }
    },
    worker: {
      source: (id) => target.source(id),
      plan: (id, pages) => target.plan(id, pages),
      receive: (id, asked, items) => target.receive(id, asked, items),
      signRequest: (id, method, path) => target.signRequest(id, method, path),
      renewCertificate: (id) => target.renewCertificate(id),
      noteSync: (id, outcome) => target.note(id, reportedOutcome(outcome), 'worker'),
    },
  };
  return { port, target };
}

function originOf(url: string): string | undefined {
  return URL.canParse(url) ? new URL(url).origin : undefined;
}
