import type { Job } from '../../api/ports/jobs.ts';
import type { NodeEntry } from '../../api/ports/registration.ts';
import { isCoveredBy, OWN_COVERAGE } from '../../protocols/digest/coverage.ts';
import { errorCode } from '../../protocols/errors.ts';
import { frontierOf, isWhole, sameFrontier } from '../../protocols/feed/frontier.ts';
import { hasGap } from '../../protocols/feed/gap.ts';
import type { RecordState } from '../../protocols/open-dialog/record.ts';
import { SCHEMA_VERSION } from '../../protocols/open-dialog/schema.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import { parseRecordKey } from '../../protocols/wire/ids.ts';
import type { ListedVerdict } from '../../storage/commit-rows.ts';
import { gapRowsOf } from '../forget/gap-rows.ts';
import type { Node } from '../parts/running.ts';
import type { NodeFact, OnlineFacts } from './facts.ts';
import { harmless } from './finding.ts';
import type { OnlineSources } from './online-facts.ts';

/** What the doctor reads of the node itself. */
export type ExaminedNode = Pick<
  Node,
  | 'identity'
  | 'settings'
  | 'env'
  | 'clock'
  | 'store'
  | 'registry'
  | 'host'
  | 'discovery'
  | 'mycelium'
  | 'alarms'
  | 'rejoin'
  | 'fetch'
  | 'digestOf'
>;

/** Entries read for the time of the oldest op of one code. */
const TIMES_READ = 8;

/** What the node has in memory. */
export function nodeFacts(
  { node, startedAt, gaps, stalls, scrub }: OnlineSources,
  labels: ReadonlyMap<string, string>,
) {
  return {
    startedAt,
    ownId: node.identity.peerId,
    schemaVersion: SCHEMA_VERSION,
    dht: dhtFact(node),
    gaps: gaps(),
    quotas: quotaFacts(node, labels),
    stalls: stalls(),
    forgotten: gapRowsOf(node.store).map((row) => ({
      ...row,
      label: labels.get(row.id) ?? row.id,
      active: node.registry.isActive(row.id),
    })),
    unequal: unequalDigests(node),
    forks: forkFacts(node),
    alarms: node.alarms.list(),
    rejoin: node.rejoin.status(),
    scrub: scrub.status(),
  };
}

export function nodeFact({ name, url, error, ...node }: NodeEntry): NodeFact {
  const { id } = node;
  const label = harmless(name || url || id);
  return {
    ...node,
    label: label === id ? id : `${label} (${harmless(id)})`,
    url: harmless(url, 2048),
    error: error === undefined ? undefined : harmless(error, 200),
  };
}

function dhtFact({ host, discovery }: ExaminedNode): OnlineFacts['dht'] {
  const open = host.libp2p.getConnections().filter(({ status }) => status === 'open');
  return {
    tablePeers: discovery.tableSize(),
    connected: new Set(open.map(({ remotePeer }) => remotePeer.toString())).size,
    since: open.length === 0 ? undefined : Math.min(...open.map(({ timeline }) => timeline.open)),
  };
}

function quotaFacts(
  { registry, settings, store }: ExaminedNode,
  labels: ReadonlyMap<string, string>,
): OnlineFacts['quotas'] {
  return registry.list().flatMap(({ peerId, status, quotaMb }) => {
    if (status !== 'active') return [];
    const label = labels.get(peerId) ?? peerId;
    const quota = { quotaMb: quotaMb ?? settings.authorQuotaMb, pendingOps: settings.authorQuotaPending };
    return [{ id: peerId, label, usage: store.usageOf(peerId), ...quota }];
  });
}

export function conflictsFact(self: PeerId, states: readonly RecordState[]): OnlineFacts['conflicts'] {
  const own = states.filter(({ channel, key, members }) =>
    channel === 'public' ? parseRecordKey(key)?.owner === self : members?.writers.includes(self) === true,
  ).length;
  return { own, others: states.length - own };
}

/** What registered peers have shown last, compared with what is held now. */
function unequalDigests(node: ExaminedNode): OnlineFacts['unequal'] {
  const { mycelium, registry, store } = node;
  const found: { peer: string; author: string }[] = [];
  for (const [peer, groups] of mycelium.frontiers()) {
    // What only the other version evaluates is no damage.
    const covers = mycelium.coverageOf(peer)?.covers;
    if (!registry.isActive(peer) || covers === undefined || !isCoveredBy(covers, OWN_COVERAGE)) continue;
    for (const { author, channel, items, digest } of groups) {
      // An announcement alone contains no digest.
      if (channel !== 'public' || digest === '') continue;
      const feeds = store.feeds(author, 'public');
      if (hasGap(store, feeds) || !isWhole(feeds)) continue;
      if (sameFrontier(frontierOf(feeds), items) && node.digestOf(author, covers) !== digest)
        found.push({ peer, author });
    }
  }
  return found;
}

function forkFacts({ store }: ExaminedNode): OnlineFacts['forks'] {
  return store
    .feedGroups()
    .flatMap(({ author, channel, feeds }) =>
      feeds.flatMap(({ epoch, fork }) => (fork === undefined ? [] : [{ author, channel, epoch }])),
    );
}

export async function quarantineFacts(
  { identity, store }: ExaminedNode,
  rows: readonly ListedVerdict[],
): Promise<OnlineFacts['quarantine']> {
  const groups = Map.groupBy(rows, ({ verdict }) => `${verdict.state} ${verdict.code}`);
  const found: OnlineFacts['quarantine'][number][] = [];
  for (const listed of groups.values()) {
    const verdict = listed[0]?.verdict;
    if (verdict === undefined) continue;
    // The first of each feed is the oldest of that feed.
    const firsts = new Map(
      listed.toReversed().map(({ ref }) => [`${ref.author}|${ref.channel}|${ref.epoch}`, ref]),
    );
    const times: number[] = [];
    for (const { author, channel, epoch, seq } of [...firsts.values()].slice(0, TIMES_READ)) {
      const feed = store.feed(author, channel, epoch);
      const at = feed && (await signedAt(store, feed.no, seq));
      if (at !== undefined) times.push(at);
    }
    found.push({
      state: verdict.state,
      code: verdict.code,
      count: listed.length,
      forUpgrade: verdict.state === 'pending' && verdict.missing === 'upgrade',
      own: listed.some(({ ref }) => ref.author === identity.peerId),
      oldest: times.length === 0 ? 0 : Math.min(...times),
    });
  }
  return found;
}

/** When an entry was signed; of one that is damaged nothing is known here, and the scrub's finding names it. */
async function signedAt(store: Node['store'], feedNo: number, seq: number): Promise<number | undefined> {
  try {
    return (await store.entry(feedNo, seq))?.header.time[0];
  } catch (error) {
    if (errorCode(error) === 'value-damaged') return undefined;
    throw error;
  }
}

/** This clock, and the last entry of each own feed that is not covered by a later one. */
export async function ownClockFact({
  clock,
  identity,
  store,
}: ExaminedNode): Promise<OnlineFacts['ownClock']> {
  const times: number[] = [];
  for (const { epoch, seq } of frontierOf(store.feeds(identity.peerId, 'public')).slice(-TIMES_READ)) {
    const feed = store.feed(identity.peerId, 'public', epoch);
    const at = feed && (await signedAt(store, feed.no, seq));
    if (at !== undefined) times.push(at);
  }
  return {
    wall: clock.wall(),
    credible: clock.credible(),
    doubtedMs: clock.doubtedMs(),
    newestOwn: times.length === 0 ? undefined : Math.max(...times),
  };
}

export async function jobsFact(jobs: OnlineSources['jobs']): Promise<OnlineFacts['jobs']> {
  const { waiting, dead } = jobs.counts();
  const [lastDead] = (await jobs.list({ state: 'dead', limit: 1 })).jobs;
  // Newest first: the oldest of a thousand is old enough to judge by.
  const oldest = (await jobs.list({ state: 'waiting', limit: 1000 })).jobs.at(-1);
  return {
    waiting,
    dead,
    oldestWaiting: oldest?.runAt,
    lastDead: lastDead && deadFact(lastDead),
    queue: jobs.health(),
  };
}

function deadFact({ id, data, error }: Job): NonNullable<OnlineFacts['jobs']['lastDead']> {
  const source = data['source'];
  return {
    id,
    error: error?.message ?? 'no reason is known',
    ...(error === undefined ? {} : { code: error.code }),
    ...(typeof source === 'string' ? { source } : {}),
  };
}
