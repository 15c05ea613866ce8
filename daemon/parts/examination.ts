import type { DoctorPort } from '../../api/ports/doctor.ts';
import type { MetricsPort } from '../../api/ports/metrics.ts';
import type { Reader } from '../../storage/reader.ts';
import { DigestTrees } from '../doctor/digest-trees.ts';
import type { MirrorHealth } from '../doctor/ports.ts';
import { type DoctorNode, startDoctor } from '../doctor/start-doctor.ts';
import type { Registration } from '../federation/registration.ts';
import type { Jobs } from '../jobs/create-jobs.ts';
import type { HeldNode } from '../metrics/held-figures.ts';
import type { WatchedNode } from '../metrics/replication-counters.ts';
import { startMetrics } from '../metrics/start-metrics.ts';
import type { RunningMirror } from '../mirror/start-mirror.ts';
import { definePart, type Face, type PartList } from '../parts.ts';
import type { ReachWatch } from '../reach/reach-watch.ts';
import type { Scrub } from '../scrub/scrub.ts';
import type { RunningCheckpoints } from './watch.ts';
import type { ReplicationStatus } from '../replication-status.ts';

export interface ExaminationComponents {
  readonly replicationStatus: Pick<ReplicationStatus, 'lag'>;
  readonly reach: Face<Pick<ReachWatch, 'isReached'>>;
  readonly jobs: Face<Jobs>;
  readonly scrub: Face<Scrub>;
  readonly checkpoints: Face<Pick<RunningCheckpoints, 'counts'>>;
  readonly mirror: Face<Pick<RunningMirror, 'snapshot'> | undefined>;
  readonly registration: Face<Pick<Registration, 'port'>>;
  readonly reader: Face<Reader>;
}

/** How the node does: metrics, trees of digests to compare with, and the doctor. */
export function defineExamination(
  parts: PartList,
  node: HeldNode & WatchedNode & DoctorNode,
  components: ExaminationComponents,
) {
  const metrics = parts.add(
    definePart<MetricsPort>('metrics', () => ({
      face: startMetrics(node, {
        replicationStatus: components.replicationStatus,
        reach: components.reach.face,
        jobs: components.jobs.face,
        scrub: components.scrub.face,
        checkpoints: components.checkpoints.face,
        mirror: mirrorHealthOf(components.mirror),
      }),
    })),
  );
  const trees = parts.add(defineTrees(node, components));
  const doctor = parts.add(defineDoctor(node, components, trees));
  return { metrics, trees, doctor };
}

function mirrorHealthOf(
  mirror: Face<Pick<RunningMirror, 'snapshot'> | undefined>,
): (() => MirrorHealth) | undefined {
  const running = mirror.face;
  return running && (() => running.snapshot());
}

function defineTrees(
  node: Pick<DoctorNode, 'env' | 'store'>,
  { reader }: Pick<ExaminationComponents, 'reader'>,
) {
  return definePart<DigestTrees>('digest trees', () => {
    const { env, store } = node;
    const trees = new DigestTrees({
      env,
      reader: reader.face,
      stamp: (owner, collection) => store.digests.one('public', owner, collection)?.digest ?? '',
    });
    return { face: trees, stop: () => trees.stop() };
  });
}

function defineDoctor(
  node: DoctorNode,
  { replicationStatus, registration, jobs, reader, mirror, scrub }: ExaminationComponents,
  trees: Face<DigestTrees>,
) {
  return definePart<DoctorPort>('doctor', () =>
    startDoctor(node, {
      replicationStatus,
      registration: registration.face.port,
      jobs: jobs.face.port,
      reader: reader.face,
      trees: trees.face,
      mirror: mirrorHealthOf(mirror),
      scrub: scrub.face,
    }),
  );
}
