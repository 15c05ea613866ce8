import { type Env, every } from '../../protocols/env.ts';
import { missingEpochs } from '../../protocols/feed/frontier.ts';
import type { Node } from '../parts/running.ts';
import type { ReplicationStatus } from '../replication-status.ts';
import type { OnlineFacts } from './facts.ts';

/** Between two checks: gaps are reported after minutes, so their start need not be known more precisely. */
const LOOK_MS = 20_000;

/** Records since when something known is missing. A gap that closes and opens again starts over. */
export interface GapWatch {
  gaps(): OnlineFacts['gaps'];
  stop(): void;
}

export function startGapWatch(
  { identity, registry, store }: Pick<Node, 'identity' | 'registry' | 'store'>,
  replicationStatus: Pick<ReplicationStatus, 'lag'>,
  env: Pick<Env, 'after'>,
  now: () => number,
): GapWatch {
  let open = new Map<string, OnlineFacts['gaps'][number]>();

  function look(): void {
    const next = new Map<string, OnlineFacts['gaps'][number]>();
    const note = (kind: 'shown' | 'named', subject: string, entries: number): void => {
      if (entries === 0) return;
      const id = `${kind}|${subject}`;
      next.set(id, { subject, kind, entries, since: open.get(id)?.since ?? now() });
    };
    for (const { peerId, status } of registry.list())
      if (status === 'active') note('shown', peerId, replicationStatus.lag(peerId, 'whole'));
    for (const { author, channel, feeds } of store.feedGroups()) {
      const followed = author === identity.peerId || registry.followState(author) === 'followed';
      if (channel === 'public' && followed) note('named', author, missingEpochs(feeds).length);
    }
    open = next;
  }
  look();
  const timer = every(env, LOOK_MS, look);
  return {
    gaps() {
      look();
      return [...open.values()];
    },
    stop: () => timer.cancel(),
  };
}
