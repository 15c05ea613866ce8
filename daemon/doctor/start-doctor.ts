import type { DoctorPort, DoctorReport } from '../../api/ports/doctor.ts';
import { Lazy } from '../../protocols/lazy.ts';
import type { Node } from '../parts/running.ts';
import type { Started } from '../parts.ts';
import { startStallWatch } from '../stalls/stall-watch.ts';
import type { ReplicationStatus } from '../replication-status.ts';
import type { DiffedNode } from './diff.ts';
import type { DigestTrees } from './digest-trees.ts';
import { startDiskTrend } from './disk-trend.ts';
import { type GapWatch, startGapWatch } from './gap-watch.ts';
import { freeBytes } from './free-bytes.ts';
import type { OnlineSources } from './online-facts.ts';
import type { ExaminedNode } from './node-facts.ts';

export type DoctorSources = Pick<OnlineSources, 'registration' | 'jobs' | 'reader' | 'mirror' | 'scrub'> & {
  readonly replicationStatus: Pick<ReplicationStatus, 'lag'>;
  readonly trees: DigestTrees;
};

/** What of the node the doctor examines. */
export type DoctorNode = ExaminedNode & DiffedNode & Pick<Node, 'refusal' | 'mayHold'>;

/** The doctor of a running node: it notes disk space and gaps as time goes, and examines the node when it is asked. Its checks are loaded then. */
export function startDoctor(node: DoctorNode, sources: DoctorSources): Started<DoctorPort> {
  const watches = startWatches(node, sources);
  const checks = new Lazy(() => import('./examine-running.ts'));
  const differ = new Lazy(async () => (await import('./diff.ts')).createDiffer(node, sources.trees));
  const examined = async (): Promise<DoctorReport> => {
    const { examineRunning } = await checks.get();
    return examineRunning(node, sources, watches);
  };
  let running: Promise<DoctorReport> | undefined;
  return {
    face: {
      async diff(peer, deep) {
        const compare = await differ.get();
        return compare(peer, deep);
      },
      // However often it is asked at once, the peers are asked once.
      examine() {
        running ??= examined().finally(() => (running = undefined));
        return running;
      },
    },
    stop() {
      watches.stalls.stop();
      watches.gaps.stop();
      watches.disk.stop();
    },
  };
}

/** What is recorded over time. */
export interface Watches {
  readonly disk: ReturnType<typeof startDiskTrend>;
  readonly gaps: GapWatch;
  readonly stalls: ReturnType<typeof startStallWatch>;
  /** By the steady clock. */
  readonly begun: number;
}

function startWatches(node: DoctorNode, sources: DoctorSources): Watches {
  const { env, settings } = node;
  const { steady } = node.clock;
  const begun = steady();
  const disk = startDiskTrend(
    async () => {
      const free = await freeBytes(settings.dataDir);
      if (free === undefined) throw new TypeError('the free space on the disk is unknown');
      return free;
    },
    env,
    steady,
  );
  const gaps = startGapWatch(node, sources.replicationStatus, env, steady);
  const stalls = startStallWatch(node, node.env, ({ peer, channel, epoch, there, sinceMs }) =>
    node.alarms.raise({
      kind: 'feed-stalled',
      node: peer,
      channel: channel === 'public' ? 'public' : 'private',
      epoch,
      there,
      minutes: Math.floor(sinceMs / 60_000),
    }),
  );
  return { disk, gaps, stalls, begun };
}
