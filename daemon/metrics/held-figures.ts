import { statfs } from 'node:fs/promises';
import type { Sees } from '../../api/ports/registration.ts';
import { NODE_STATUSES } from '../../protocols/registry/node-status.ts';
import type { MirrorStanding } from '../doctor/ports.ts';
import { folderBytes } from '../folder-bytes.ts';
import type { JobQueue } from '../jobs/job-queue.ts';
import { standardOutput } from '../logger.ts';
import type { Node } from '../node.ts';
import type { ReachWatch } from '../reach/reach-watch.ts';
import type { Scrub } from '../scrub/scrub.ts';
import type { Standings } from '../standings.ts';
import { VERSION } from '../version.ts';
import type { Exposition, Figure } from './exposition.ts';
import { METRICS_LIMITS } from './metrics-table.ts';

/** What metrics read of the parts that stand on a node. */
export interface HeldParts {
  readonly standings: Pick<Standings, 'lag'>;
  readonly reach: Pick<ReachWatch, 'isReached'>;
  readonly jobs: { readonly queue: Pick<JobQueue, 'kind' | 'counts' | 'health'> };
  readonly scrub: Pick<Scrub, 'standing' | 'counts'>;
  readonly mirror?: (() => MirrorStanding) | undefined;
}

/** What a disk that fails does not tell: it must not take all other figures with it. */
const UNKNOWN = Number.NaN;

/** Shows what the parts know of themselves at this moment: nothing is counted on their way. */
export function createHeldFigures(
  node: Node,
  parts: HeldParts,
  exposition: Exposition,
): { refresh(sees: Sees): Promise<void> } {
  const { store, db, settings, guard, alarms, registry, host, mycelium, discovery } = node;
  const size = keptFor(METRICS_LIMITS.sizeKeptMs, () => folderBytes(db.folder));

  function feeds(sees: Sees): void {
    const held = { public: { feeds: 0, entries: 0 }, private: { feeds: 0, entries: 0 } };
    let forked = 0;
    for (const { channel, feeds } of store.feedGroups()) {
      if (channel !== 'public' && sees !== 'whole') continue;
      const side = channel === 'public' ? held.public : held.private;
      side.feeds += feeds.length;
      for (const { seq, fork } of feeds) {
        side.entries += seq;
        if (fork !== undefined) forked++;
      }
    }
    const both = Object.entries(held).filter(([channel]) => channel === 'public' || sees === 'whole');
    exposition.show(
      'feeds',
      both.map(([channel, each]) => [{ channel }, each.feeds] as const),
    );
    exposition.show(
      'entries',
      both.map(([channel, each]) => [{ channel }, each.entries] as const),
    );
    exposition.show('forkedFeeds', forked);
    exposition.show(
      'records',
      Array.from(store.digests.counts('public'), ([collection, count]) => [{ collection }, count] as const),
    );
  }

  function peers(sees: Sees): void {
    const nodes = registry.list();
    exposition.show(
      'nodes',
      NODE_STATUSES.map((status) => [{ status }, nodes.filter((each) => each.status === status).length]),
    );
    const open = host.libp2p.getConnections().map((connection) => connection.remotePeer.toString());
    const known = open.filter((peer) => registry.isActive(peer)).length;
    exposition.show('connections', [
      [{ kind: 'registered' }, known],
      [{ kind: 'stranger' }, open.length - known],
    ]);
    const connected = new Set(open);
    const active = nodes.flatMap(({ peerId, status }) => (status === 'active' ? [peerId] : [])).sort();
    exposition.show(
      'lag',
      byPeer(active, (peer) => parts.standings.lag(peer, sees)),
    );
    exposition.show(
      'connected',
      byPeer(active, (peer) => (connected.has(peer) ? 1 : 0)),
    );
    exposition.show(
      'reached',
      byPeer(active, (peer) => (connected.has(peer) || parts.reach.isReached(peer) ? 1 : 0)),
    );
    exposition.show('dht', discovery.tableSize());
    exposition.show('wanted', mycelium.pending);
  }

  async function disk(): Promise<void> {
    const { batches, synced, failed, reopened } = db.counts;
    exposition.show('batches', [
      [{ synced: 'yes' }, synced],
      [{ synced: 'no' }, batches - synced],
    ]);
    exposition.show('batchesFailed', failed);
    exposition.show('reopenings', reopened);
    // While the database is being opened again there is nothing to ask.
    const files = db.failed ? [] : db.levelFiles();
    exposition.show(
      'levelFiles',
      files.map((count, level) => [{ level: String(level) }, count] as const),
    );
    const free = await statfs(settings.dataDir).then(
      ({ bavail, bsize }) => bavail * bsize,
      () => UNKNOWN,
    );
    exposition.show('diskFree', free);
    exposition.show('diskReserve', settings.diskReserveMb * 1024 * 1024);
    exposition.show('size', await size());
  }

  function jobs(): void {
    const { kind: queue, counts: countsOf, health } = parts.jobs.queue;
    const counts = Object.entries(countsOf());
    exposition.show(
      'jobs',
      counts.map(([state, count]) => [{ queue, state }, count] as const),
    );
    exposition.show('jobsUp', [[{ queue }, health().ok ? 1 : 0]]);
  }

  function scrub(): void {
    const { running, current, last } = parts.scrub.standing();
    exposition.show('scrubRunning', running ? 1 : 0);
    exposition.show('scrubRows', (current ?? last)?.rows ?? 0);
    exposition.show(
      'scrubWrong',
      Array.from(parts.scrub.counts(), ([table, count]) => [{ table }, count] as const),
    );
    exposition.show('scrubEnded', last?.endedAt === undefined ? [] : [[{}, last.endedAt / 1000]]);
  }

  function mirror(): void {
    const standing = parts.mirror?.();
    const one = (value: number | undefined): Figure[] => (value === undefined ? [] : [[{}, value]]);
    exposition.show('mirrorState', standing === undefined ? [] : [[{ state: standing.state }, 1]]);
    exposition.show('mirrorPending', one(standing?.pending));
    exposition.show('mirrorLag', one(standing?.lagSeconds));
    exposition.show('mirrorInFlight', one(standing?.inFlight));
    exposition.show('mirrorRefused', one(standing?.refused));
  }

  return {
    async refresh(sees) {
      exposition.show('build', [[{ version: VERSION, node: process.version }, 1]]);
      exposition.show('logDropped', standardOutput().sink.dropped());
      exposition.show('writable', guard.refusal() === undefined ? 1 : 0);
      exposition.show(
        'alarms',
        Array.from(alarms.counts(), ([kind, count]) => [{ kind }, count] as const),
      );
      feeds(sees);
      peers(sees);
      jobs();
      scrub();
      mirror();
      await disk();
    },
  };
}

/** The first peers by name, the rest as one sum. */
function* byPeer(peers: readonly string[], valueOf: (peer: string) => number): Generator<Figure> {
  for (const peer of peers.slice(0, METRICS_LIMITS.peers)) yield [{ peer }, valueOf(peer)];
  const rest = peers.slice(METRICS_LIMITS.peers);
  if (rest.length > 0) yield [{ peer: 'other' }, rest.reduce((sum, peer) => sum + valueOf(peer), 0)];
}

/** A value that is asked for anew only when it is this old. */
function keptFor(ms: number, ask: () => Promise<number>): () => Promise<number> {
  let at = -Infinity;
  let value: Promise<number> = Promise.resolve(0);
  return () => {
    if (performance.now() - at >= ms) {
      at = performance.now();
      value = ask();
    }
    return value;
  };
}
