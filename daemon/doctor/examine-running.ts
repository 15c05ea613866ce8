import type { DoctorReport } from '../../api/ports/doctor.ts';
import { isoTime } from '../../protocols/wire/iso-time.ts';
import { examineOnline } from './examine.ts';
import { DOCTOR_LIMITS } from './facts.ts';
import { CHECKS, isUnhealthy } from './finding.ts';
import { gatherOffline } from './offline-facts.ts';
import { gatherOnline, type OnlineSources } from './online-facts.ts';
import type { DoctorNode, DoctorSources, Watches } from './start-doctor.ts';

/** Gathers the facts of a running node and what was noted meanwhile, and checks them all. */
export async function examineRunning(
  node: DoctorNode,
  sources: DoctorSources,
  { disk, gaps, stalls, begun }: Watches,
): Promise<DoctorReport> {
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
