import type { SyncOutcome, WorkerOutcome } from '../../api/ports/sync-target.ts';
import type { Offences } from '../../protocols/mycelium/offences.ts';
import type { EventLog } from '../events/event-log.ts';
import type { ReliabilityCounts } from '../market/reliability.ts';
import type { ReachWatch } from '../reach/reach-watch.ts';
import type { Registration } from './registration.ts';

/** Who reports how a sync ended: this process, which ran it, or a caller with a key of scope `worker`. */
export type Reporter = 'daemon' | 'worker';

export interface SyncOutcomeParts {
  readonly reliability: Pick<ReliabilityCounts, 'synced'>;
  readonly reach: Pick<ReachWatch, 'contact'>;
  readonly offences: Pick<Offences, 'note'>;
  readonly alarm: (alarm: {
    readonly kind: 'peer-distrusted';
    readonly node: string;
    readonly code: string;
    readonly forMs: number;
  }) => void;
  readonly events: Pick<EventLog, 'emit'>;
  readonly registration: Pick<Registration, 'noteSync'>;
  readonly onFailure: (node: string, error: unknown) => void;
  readonly now: () => number;
}

/**
 * What follows from the end of a sync over HTTP. Only what this process has seen itself can be held against a source: a worker's key
 * must not be enough to cut off a registered node.
 */
export function followOutcomes(parts: SyncOutcomeParts) {
  const { reliability, reach, offences, events } = parts;
  return (id: string, outcome: SyncOutcome, reporter: Reporter): void => {
    const { received, receivedPrivate = 0, imported, error } = outcome;
    reliability.synced(id, error?.code, reporter);
    if (error === undefined) reach.contact(id);
    else if (reporter === 'daemon') {
      const forMs = offences.note(id, error.code, parts.now());
      if (forMs !== undefined) parts.alarm({ kind: 'peer-distrusted', node: id, code: error.code, forMs });
    }
    events.emit('federation.sync', {
      node: id,
      received: received - receivedPrivate,
      imported,
      ...(error === undefined ? {} : { error: error.message }),
    });
    if (receivedPrivate > 0)
      events.emit('federation.sync', { node: id, received: receivedPrivate }, { operatorOnly: true });
    void parts.registration
      .noteSync(id, error?.message)
      .catch((failed: unknown) => parts.onFailure(id, failed));
  };
}

/** A worker's word as the outcome that is kept: everybody reads its sentence in the list of nodes, so the sentence is this node's own. */
export function reportedOutcome({ error, ...counts }: WorkerOutcome): SyncOutcome {
  if (error === undefined) return counts;
  const message = `a worker could not sync with it: ${error.code}; see agrinet jobs`;
  return { ...counts, error: { code: error.code, message } };
}
