import type { PullEvent } from '../../protocols/mycelium/pull-event.ts';
import type { Listens } from '../hooks.ts';
import type { Node } from '../parts/running.ts';
import { boundedLabel } from './bounded-label.ts';
import type { Exposition } from './exposition.ts';
import { METRICS_LIMITS } from './metrics-table.ts';

export type WatchedNode = Pick<Node, 'db'> & Listens<'committed' | 'pulled' | 'gossiped' | 'merged'>;

/** Listens to the hooks of the parts and counts their events. */
export function countReplication(node: WatchedNode, exposition: Exposition): void {
  countCommits(node, exposition);
  node.hooks.pulled.on('metrics', pullCounter(exposition));
  const received = exposition.counter('gossipReceived');
  const published = exposition.counter('gossipPublished');
  node.hooks.gossiped.on('metrics', (what) => {
    if (what === 'published') published.inc();
    else received.inc({ verdict: what });
  });
  const syncSeconds = exposition.histogram('syncSeconds');
  node.db.onSynced((ms) => syncSeconds.observe(ms / 1000));
}

function countCommits(node: Pick<WatchedNode, 'hooks'>, exposition: Exposition): void {
  const commits = exposition.counter('commits');
  const entries = exposition.counter('committedEntries');
  const merges = exposition.counter('merges');
  const mergeSeconds = exposition.histogram('mergeSeconds');
  for (const origin of ['local', 'remote']) {
    commits.inc({ origin }, 0);
    entries.inc({ origin }, 0);
  }
  for (const path of ['fast', 'automerge']) merges.inc({ path }, 0);
  /** Merges since the last commit: their records are among its changes, because the ledger does one commit at a time. */
  let merged = 0;
  node.hooks.merged.on('metrics', (ms) => {
    merged++;
    mergeSeconds.observe(ms / 1000);
  });
  node.hooks.committed.on('metrics', (committed) => {
    const origin = committed.local ? 'local' : 'remote';
    commits.inc({ origin });
    entries.inc({ origin }, committed.entries.length);
    merges.inc({ path: 'fast' }, Math.max(0, committed.changes.length - merged));
    merges.inc({ path: 'automerge' }, merged);
    merged = 0;
  });
}

function pullCounter(exposition: Exposition): (event: PullEvent) => void {
  const pulls = exposition.counter('pulls');
  const entries = exposition.counter('pulledEntries');
  const failures = exposition.counter('pullFailures');
  const refused = exposition.counter('entriesRefused');
  const differs = exposition.counter('digestDiffers');
  const failureCode = boundedLabel({ most: METRICS_LIMITS.codes });
  const refusalCode = boundedLabel({ most: METRICS_LIMITS.codes });
  return (event) => {
    switch (event.kind) {
      case 'peer-synced':
        if (event.pulled !== true) break;
        pulls.inc();
        entries.inc(event.received);
        break;
      case 'pull-failed':
        failures.inc({ code: failureCode(event.code) });
        break;
      case 'entry-refused':
        refused.inc({ code: refusalCode(event.code) });
        break;
      case 'digest-differs':
        differs.inc();
        break;
      case 'own-held':
      case 'peer-distrusted':
        break; // the rejoin's own; counted among the alarms
    }
  };
}
