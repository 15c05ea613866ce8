import type { DoctorPort, DoctorReport } from '../../api/ports/doctor.ts';
import type { Node } from '../node.ts';
import type { PartList } from '../parts.ts';
import { startStallWatch } from '../stalls/stall-watch.ts';
import type { Standings } from '../standings.ts';
import { createDiffer } from './diff.ts';
import type { DigestTrees } from './digest-trees.ts';
import { startDiskTrend } from './disk-trend.ts';
import { examineOnline } from './examine.ts';
import { DOCTOR_LIMITS } from './facts.ts';
import { CHECKS, isUnhealthy } from './finding.ts';
import { startGapWatch } from './gap-watch.ts';
import { freeBytes, gatherOffline } from './offline-facts.ts';
import { gatherOnline, type OnlineSources } from './online-facts.ts';
import { isoTime } from '../../protocols/wire/iso-time.ts';

export type DoctorSources = Pick<OnlineSources, 'registration' | 'jobs' | 'reader' | 'mirror' | 'scrub'> & {
  readonly standings: Pick<Standings, 'lag'>;
  readonly trees: DigestTrees;
};

/** The doctor of a running node: it notes disk space and gaps as time goes, and examines the node when it is asked. */
export function startDoctor(node: Node, sources: DoctorSources, parts: PartList): DoctorPort {
  const { settings } = node;
  const { now, steady } = node.clock;
  const begun = steady();
  /** A moment of the steady clock, as the wall clock would have named it. */
  const named = (at: number): number => Math.round(now() - (steady() - at));
  const diff = createDiffer(node, sources.trees);
  const disk = startDiskTrend(async () => {
    const free = await freeBytes(settings.dataDir);
    if (free === undefined) throw new TypeError('the disk does not tell');
    return free;
  }, steady);
  parts.started('disk trend', () => disk.stop());
  const gaps = startGapWatch(node, sources.standings, steady);
  parts.started('gap watch', () => gaps.stop());
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
  parts.started('stall watch', () => stalls.stop());
  let running: Promise<DoctorReport> | undefined;

  async function examine(): Promise<DoctorReport> {
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
    const signal = AbortSignal.timeout(DOCTOR_LIMITS.totalMs);
    const { facts, unchecked } = await gatherOnline(
      {
        node,
        ...sources,
        stalls: () => stalls.stalls(),
        gaps: () => gaps.gaps().map((gap) => ({ ...gap, since: named(gap.since) })),
        startedAt: named(begun),
        now,
      },
      offline,
      signal,
    );
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
  return {
    diff,
    // However often it is asked at once, the peers are asked once.
    examine() {
      running ??= examine().finally(() => (running = undefined));
      return running;
    },
  };
}
