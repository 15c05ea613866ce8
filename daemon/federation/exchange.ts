import type { ExchangePort } from '../../api/ports/exchange.ts';
import type { SyncOutcome, SyncTarget } from '../../api/ports/sync-target.ts';
import type { Coverage } from '../../protocols/digest/coverage.ts';
import type { Env } from '../../protocols/env.ts';
import { AgrinetError } from '../../protocols/errors.ts';
import type { Ledger } from '../../protocols/ledger/types.ts';
import type { Offences } from '../../protocols/mycelium/offences.ts';
import { ownFrontierFor } from '../../protocols/mycelium/own-frontier.ts';
import type { FeedSource } from '../../protocols/mycelium/ports.ts';
import { rangeItems } from '../../protocols/mycelium/range.ts';
import { verifyRequest, RequestNonces } from '../../protocols/mycelium/signed-request.ts';
import type { Registry } from '../../protocols/registry/registry.ts';
import type { Identity, PeerId } from '../../protocols/wire/identity.ts';
import type { Channel } from '../../protocols/wire/ids.ts';
import { ChangeOrder } from '../../storage/change-order.ts';
import type { Database } from '../../storage/database.ts';
import { LegacyTable } from '../../storage/legacy-table.ts';
import type { Reader } from '../../storage/reader.ts';
import type { SourceTable } from '../../storage/source-table.ts';
import { FeedRequests } from './feed-requests.ts';
import { createLegacyImporter, IMPORT_LIMITS, type LegacyImporter } from './legacy-import.ts';
import { spool } from './spool.ts';
import { reportedOutcome, type Reporter } from './sync-outcomes.ts';
import { SyncRequests, type SyncRequestsParts } from './sync-requests.ts';
import { LocalTarget } from './sync-target.ts';

export interface ExchangeParts extends Omit<SyncRequestsParts, 'forget' | 'steady'> {
  readonly env: Pick<Env, 'after' | 'bytes' | 'cpu' | 'monotonic'>;
  readonly identity: Identity;
  readonly net: string;
  readonly db: Database;
  readonly reader: Reader;
  readonly feeds: FeedSource;
  readonly ledger: Pick<Ledger, 'receive' | 'receiveProof' | 'receiveErasure'>;
  readonly registry: Pick<Registry, 'isActive' | 'followState'>;
  /** How far it has come with each of them. */
  readonly table: SourceTable;
  /** The key with which an old back end is asked. */
  readonly sourceKey: (id: string) => string | undefined;
  readonly mayHold: (peer: string, channel: Channel) => boolean;
  /** Shared with what arrives over libp2p. */
  readonly offences: Pick<Offences, 'isOut'>;
  readonly digestOf: (author: PeerId, covers: Coverage) => string;
  readonly totalDigest: (covers: Coverage) => string;
  /** Asks the node key of a peer about the certificate that it shows now. */
  readonly renewCertificate: (peer: PeerId) => Promise<string>;
  readonly onOutcome: (id: string, outcome: SyncOutcome, reporter: Reporter) => void;
  /** All that a source has shown of the feeds that hold promises of this node is held here. */
  readonly onOwnHeld: (id: string) => void;
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
  const { db, sources, now } = parts;
  const table = new LegacyTable(db);
  const importer = createLegacyImporter(table, parts.env, now);
  const target = localTarget(parts, importer);
  const requests = new SyncRequests({
    ...parts,
    steady: parts.steady ?? now,
    forget: (id) => target.forget(id),
  });
  const port: ExchangePort = {
    changes: new ChangeOrder(db, parts.reader),
    feeds: shownFeeds(parts),
    openRequest: requestOpener(parts),
    legacy: table,
    sources,
    pull: (sourceUrl, force) => requests.pull(sourceUrl, force),
    syncAll: () => requests.syncAll(),
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
      rangeRequest: (id, feed, from) => target.rangeRequest(id, feed, from),
      receive: (id, feed, items) => target.receive(id, feed, items),
      renewCertificate: (id) => target.renewCertificate(id),
      noteSync: (id, outcome) => target.note(id, reportedOutcome(outcome), 'worker'),
    },
  };
  return { port, target };
}

function localTarget(parts: ExchangeParts, importer: LegacyImporter): LocalTarget {
  const { env, identity, net, feeds, registry, offences, now } = parts;
  const isDistrusted = (id: string): boolean => offences.isOut(id, now());
  return new LocalTarget({
    ...parts,
    self: identity.peerId,
    source: feeds,
    follows: (author) => registry.followState(author) === 'followed',
    requests: new FeedRequests({ env, identity, net, isDistrusted, now }),
    importer,
  });
}

function shownFeeds({ feeds, mayHold, digestOf, totalDigest }: ExchangeParts): ExchangePort['feeds'] {
  const own = { source: feeds, access: { mayHold }, digestOf };
  return {
    list: (signer, covers) => ownFrontierFor(own, signer, covers),
    totalDigest,
    mayHold,
    range: (request) => rangeItems(feeds, request),
  };
}

/** Each nonce counts once. */
function requestOpener({ identity, net, registry, now }: ExchangeParts): ExchangePort['openRequest'] {
  const nonces = new RequestNonces();
  return (header, method, path) => {
    const at = now();
    const expected = { net, receiver: identity.peerId, method, path, now: at };
    const { caller, nonce } = verifyRequest(header, expected);
    if (!registry.isActive(caller))
      throw new AgrinetError(
        'request-unsigned',
        'signed request: the caller is not registered with this node',
      );
    nonces.use(caller, nonce, at);
    return caller;
  };
}
