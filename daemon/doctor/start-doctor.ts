import type { DoctorPort, DoctorReport } from '../../api/ports/doctor.ts';
import type { Node } from '../parts/running.ts';
import type { Started } from '../parts.ts';
import { startStallWatch } from '../stalls/stall-watch.ts';
import type { Standings } from '../standings.ts';
import { createDiffer, type DiffedNode } from './diff.ts';
import type { DigestTrees } from './digest-trees.ts';
import { startDiskTrend } from './disk-trend.ts';
import { examineOnline } from './examine.ts';
import { DOCTOR_LIMITS } from './facts.ts';
import { CHECKS, isUnhealthy } from './finding.ts';
import { type GapWatch, startGapWatch } from './gap-watch.ts';
import { freeBytes, gatherOffline } from './offline-facts.ts';
import { gatherOnline, type OnlineSources } from './online-facts.ts';
import type { ExaminedNode } from './node-facts.ts';
import { isoTime } from '../../protocols/wire/iso-time.ts';

export type DoctorSources = Pick<OnlineSources, 'registration' | 'jobs' | 'reader' | 'mirror' | 'scrub'> & {
  readonly standings: Pick<Standings, 'lag'>;
  readonly trees: DigestTrees;
};

/** What of the node the doctor looks at. */
export type DoctorNode = ExaminedNode & DiffedNode & Pick<Node, 'refusal' | 'mayHold'>;

/** The doctor of a running node: it notes disk space and gaps as time goes, and examines the node when it is asked. */
export function startDoctor(node: DoctorNode, sources: DoctorSources): Started<DoctorPort> {
  const watches = startWatches(node, sources);
  const examined = { node, sources, ...watches };
  let running: Promise<DoctorReport> | undefined;
  return {
    face: {
      diff: createDiffer(node, sources.trees),
      // However often it is asked at once, the peers are asked once.
      examine() {
        running ??= examine(examined).finally(() => (running = undefined));
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

/** What is noted as time goes. */
interface Watches {
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
      if (free === undefined) throw new TypeError('the disk does not tell');
      return free;
    },
    env,
    steady,
  );
  const gaps = startGapWatch(node, sources.standings, env, steady);
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

async function examine({
  node,
  sources,
  disk,
  gaps,
  stalls,
  begun,
}: Watches & { readonly node: DoctorNode; readonly sources: DoctorSources }): Promise<DoctorReport> {
  const { settings, env } = node;
  const { now, steady } = node.clock;
  /** A moment of the steady clock, as the wall clock would have named it. */
  const named = (at: number): number => Math.round(now() - (steady() - at));
  const refusal = node.refusal.get();
  const offline = await gatherOffline({
    settings,
    env: process.env,
    now: now(),
    running: {
      samples: disk.samples(),
      refusal: refusal && { code: refusal.code, message: refusal.message },
    },
  });
  const online: OnlineSources = {
    node,
    ...sources,
    stalls: () => stalls.stalls(),
    gaps: () => gaps.gaps().map((gap) => ({ ...gap, since: named(gap.since) })),
    startedAt: named(begun),
    now,
  };
  const { facts, unchecked } = await gatherOnline(online, offline, env.deadline(DOCTOR_LIMITS.totalMs));
  const findings = examineOnline(facts);
  return {
    at: isoTime(facts.now),
    healthy: !isUnhealthy(findings),
    findings,
    checked: Object.entries(CHECKS).flatMap(([check, { what }]) =>
      unchecked.some((each) => each.check === check) ? [] : [{ check, what }],
    ),
    unchecked,
  };
}
