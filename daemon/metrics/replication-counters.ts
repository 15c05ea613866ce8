import type { Committed } from '../../protocols/ledger/types.ts';
import type { PullEvent } from '../../protocols/mycelium/puller.ts';
import type { Node } from '../node.ts';
import type { Exposition } from './exposition.ts';
import { METRICS_LIMITS } from './metrics-table.ts';
import { createTally } from './tally.ts';

type Watched = Pick<Node, 'onCommit' | 'onPull' | 'onGossip' | 'onMerged' | 'listenerFailures' | 'db'>;

/** Listens to what the parts tell and counts it; `refresh` shows it. */
export function countReplication(node: Watched, exposition: Exposition): { refresh(): void } {
  const gossip = createTally({ known: new Set(['accept', 'ignore', 'reject']) });
  const failures = createTally({ most: METRICS_LIMITS.codes });
  const refused = createTally({ most: METRICS_LIMITS.codes });
  const origins = { local: { commits: 0, entries: 0 }, remote: { commits: 0, entries: 0 } };
  const merges = { fast: 0, whole: 0 };
  /** Judgements since the last commit: their records are among its changes, because the ledger does one commit at a time. */
  let judged = 0;
  let [published, pulls, pulled, differs] = [0, 0, 0, 0];
  const mergeSeconds = exposition.histogram('mergeSeconds');
  const syncSeconds = exposition.histogram('syncSeconds');

  function onCommit({ local, entries, changes }: Committed): void {
    const origin = local ? origins.local : origins.remote;
    origin.commits++;
    origin.entries += entries.length;
    merges.fast += Math.max(0, changes.length - judged);
    merges.whole += judged;
    judged = 0;
  }
  function onPull(event: PullEvent): void {
    switch (event.kind) {
      case 'peer-synced':
        if (event.pulled !== true) break;
        pulls++;
        pulled += event.received;
        break;
      case 'pull-failed':
        failures.add(event.code);
        break;
      case 'entry-refused':
        refused.add(event.code);
        break;
      case 'digest-differs':
        differs++;
        break;
      case 'own-held':
      case 'peer-distrusted':
        break; // the rejoin's own; counted among the alarms
    }
  }
  node.onCommit('metrics', onCommit);
  node.onPull('metrics', onPull);
  node.onGossip('metrics', (what) => {
    if (what === 'published') published++;
    else gossip.add(what);
  });
  node.onMerged('metrics', (ms) => {
    judged++;
    mergeSeconds.observe(ms / 1000);
  });
  node.db.onSynced((ms) => syncSeconds.observe(ms / 1000));

  return {
    refresh() {
      const byCode = (tally: typeof failures) =>
        Array.from(tally.entries(), ([code, count]) => [{ code }, count] as const);
      exposition.show(
        'gossipReceived',
        Array.from(gossip.entries(), ([verdict, count]) => [{ verdict }, count] as const),
      );
      exposition.show('gossipPublished', published);
      exposition.show('pulls', pulls);
      exposition.show('pulledEntries', pulled);
      exposition.show('pullFailures', byCode(failures));
      exposition.show('entriesRefused', byCode(refused));
      exposition.show('digestDiffers', differs);
      exposition.show(
        'listenerFailures',
        Array.from(node.listenerFailures, ([listener, count]) => [{ listener }, count] as const),
      );
      const both = Object.entries(origins);
      exposition.show(
        'commits',
        both.map(([origin, { commits }]) => [{ origin }, commits] as const),
      );
      exposition.show(
        'committedEntries',
        both.map(([origin, { entries }]) => [{ origin }, entries] as const),
      );
      exposition.show('merges', [
        [{ road: 'fast' }, merges.fast],
        [{ road: 'automerge' }, merges.whole],
      ]);
    },
  };
}
