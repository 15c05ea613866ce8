import type { Visibility } from '../../api/ports/registration.ts';
import type { MirrorHealth } from '../doctor/ports.ts';
import type { JobQueue } from '../jobs/job-queue.ts';
import { standardOutput } from '../logger.ts';
import type { Hooks } from '../hooks.ts';
import type { Node } from '../parts/running.ts';
import type { ReachWatch } from '../reach/reach-watch.ts';
import type { Scrub } from '../scrub/scrub.ts';
import type { ReplicationStatus } from '../replication-status.ts';
import { VERSION } from '../version.ts';
import { createDiskFigures } from './disk-figures.ts';
import { byLabel, type Exposition, type Figure } from './exposition.ts';
import { showPeers } from './peer-figures.ts';

/** What metrics read of the node itself. */
export type HeldNode = Pick<
  Node,
  'settings' | 'env' | 'db' | 'store' | 'registry' | 'host' | 'discovery' | 'mycelium' | 'refusal' | 'alarms'
> & { readonly hooks: Pick<Hooks, 'failures'> };

/** What metrics read of the parts built on a node. */
export interface HeldParts {
  readonly replicationStatus: Pick<ReplicationStatus, 'lag'>;
  readonly reach: Pick<ReachWatch, 'isReached'>;
  readonly jobs: { readonly queue: Pick<JobQueue, 'kind' | 'counts' | 'health'> };
  readonly scrub: Pick<Scrub, 'status' | 'counts'>;
  readonly checkpoints: { counts(): ReadonlyMap<string, number> };
  readonly mirror?: (() => MirrorHealth) | undefined;
}

/** Shows what the parts know of themselves at this moment: nothing is counted on their way. */
export function createHeldFigures(
  node: HeldNode,
  parts: HeldParts,
  exposition: Exposition,
): { refresh(sees: Visibility): Promise<void> } {
  const disk = createDiskFigures(node, exposition);
  return {
    async refresh(sees) {
      exposition.show('build', [[{ version: VERSION, node: process.version }, 1]]);
      exposition.show('logDropped', standardOutput().sink.dropped());
      exposition.show('writable', node.refusal.get() === undefined ? 1 : 0);
      exposition.show('alarms', byLabel('kind', node.alarms.counts()));
      exposition.show('listenerFailures', byLabel('listener', node.hooks.failures));
      showFeeds(node.store, sees, exposition);
      showPeers(node, parts, sees, exposition);
      showJobs(parts.jobs.queue, exposition);
      showScrub(parts.scrub, exposition);
      exposition.show('checkpoints', byLabel('outcome', parts.checkpoints.counts()));
      showMirror(parts.mirror?.(), exposition);
      await disk.refresh();
    },
  };
}

function showFeeds(
  store: Pick<Node['store'], 'feedGroups' | 'digests'>,
  sees: Visibility,
  exposition: Exposition,
): void {
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
  const shown = Object.entries(held).filter(([channel]) => channel === 'public' || sees === 'whole');
  for (const key of ['feeds', 'entries'] as const)
    exposition.show(
      key,
      byLabel(
        'channel',
        shown.map(([channel, each]) => [channel, each[key]]),
      ),
    );
  exposition.show('forkedFeeds', forked);
  exposition.show('records', byLabel('collection', store.digests.counts('public')));
}

function showJobs(queue: HeldParts['jobs']['queue'], exposition: Exposition): void {
  const { kind } = queue;
  const counts = Object.entries(queue.counts());
  exposition.show(
    'jobs',
    counts.map(([state, count]) => [{ queue: kind, state }, count] as const),
  );
  exposition.show('jobsUp', [[{ queue: kind }, queue.health().ok ? 1 : 0]]);
}

function showScrub(scrub: HeldParts['scrub'], exposition: Exposition): void {
  const { running, current, last } = scrub.status();
  exposition.show('scrubRunning', running ? 1 : 0);
  exposition.show('scrubRows', (current ?? last)?.rows ?? 0);
  exposition.show('scrubWrong', byLabel('table', scrub.counts()));
  exposition.show('scrubEnded', last?.endedAt === undefined ? [] : [[{}, last.endedAt / 1000]]);
}

function showMirror(mirror: MirrorHealth | undefined, exposition: Exposition): void {
  const one = (value: number | undefined): Figure[] => (value === undefined ? [] : [[{}, value]]);
  exposition.show('mirrorState', mirror === undefined ? [] : [[{ state: mirror.state }, 1]]);
  exposition.show('mirrorPending', one(mirror?.pending));
  exposition.show('mirrorLag', one(mirror?.lagSeconds));
  exposition.show('mirrorInFlight', one(mirror?.inFlight));
  exposition.show('mirrorRefused', one(mirror?.refused));
}
