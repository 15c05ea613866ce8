import { startGapWatch } from '../../daemon/doctor/gap-watch.ts';
import type { OnlineFacts } from '../../daemon/doctor/facts.ts';
import { gatherOffline } from '../../daemon/doctor/offline-facts.ts';
import { gatherOnline } from '../../daemon/doctor/online-facts.ts';
import { systemEnv } from '../../daemon/system-env.ts';
import { createReplicationStatus } from '../../daemon/replication-status.ts';
import { Reader } from '../../storage/reader.ts';
import type { TestNode } from './in-process-node.ts';

/** The facts of a running node, gathered as its doctor does; `laterMs` sets the doctor's clock forward, so that nobody waits for minutes. */
export async function factsOf(
  { node, context }: TestNode,
  laterMs = 0,
  reader: Pick<Reader, 'verdicts' | 'conflicts'> = new Reader(node.db),
): Promise<OnlineFacts> {
  const now = (): number => Date.now() + laterMs;
  const startedAt = Date.now();
  const offline = await gatherOffline({
    settings: node.settings,
    env: {},
    now: now(),
    running: { samples: [], refusal: context.trouble() },
  });
  const mirror = await context.mirror.status();
  const gaps = startGapWatch(node, createReplicationStatus(node), systemEnv, Date.now);
  try {
    const sources = {
      node,
      registration: context.registration,
      jobs: context.jobs,
      reader,
      scrub: context.scrub,
      ...(mirror.state === 'off'
        ? {}
        : {
            mirror: () => ({
              ...mirror,
              lagSeconds: mirror.pending === 0 ? 0 : mirror.lagSeconds + laterMs / 1000,
            }),
          }),
    };
    const { facts } = await gatherOnline(
      { ...sources, stalls: () => [], gaps: () => gaps.gaps(), startedAt, now },
      offline,
      AbortSignal.timeout(8000),
    );
    return facts;
  } finally {
    gaps.stop();
  }
}
