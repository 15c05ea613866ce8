import type { JobsPort } from '../../api/ports/jobs.ts';
import type { Job } from '../../api/ports/jobs.ts';
import type { RegistrationPort } from '../../api/ports/registration.ts';
import { errorCode } from '../../protocols/errors.ts';
import { isCoveredBy, OWN_COVERAGE } from '../../protocols/digest/coverage.ts';
import { frontierOf, isWhole, sameFrontier } from '../../protocols/feed/frontier.ts';
import { hasGap } from '../../protocols/feed/gap.ts';
import { SCHEMA_VERSION } from '../../protocols/open-dialog/schema.ts';
import type { RecordState } from '../../protocols/open-dialog/record.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import { parseRecordKey } from '../../protocols/wire/ids.ts';
import type { Reader } from '../../storage/reader.ts';
import type { ListedVerdict } from '../../storage/store.ts';
import type { Stall } from '../stalls/stalls.ts';
import type { ScrubStanding } from '../scrub/scrub.ts';
import { gapRowsOf } from '../forget/gap-rows.ts';
import type { Node } from '../node.ts';
import { probeClocks } from './clock-probe.ts';
import { DOCTOR_LIMITS, type NodeFact, type OfflineFacts, type OnlineFacts } from './facts.ts';
import { type CheckId, harmless } from './finding.ts';
import type { GapWatch } from './gap-watch.ts';
import type { MirrorStanding } from './ports.ts';

/** What the doctor reads of a running node. */
export interface OnlineSources {
  readonly node: Node;
  readonly registration: Pick<RegistrationPort, 'nodes'>;
  readonly jobs: Pick<JobsPort, 'counts' | 'health' | 'list'>;
  readonly reader: Pick<Reader, 'verdicts' | 'conflicts'>;
  readonly stalls: () => readonly Stall[];
  readonly gaps: () => ReturnType<GapWatch['gaps']>;
  readonly startedAt: number;
  readonly now: () => number;
  readonly mirror?: (() => MirrorStanding) | undefined;
  readonly scrub: { standing(): Pick<ScrubStanding, 'current' | 'last'> };
}

/** The facts, and what could not be looked at: a database that fails must not hide what else is wrong. */
export interface Gathered {
  readonly facts: OnlineFacts;
  readonly unchecked: { readonly check: CheckId; readonly code: string }[];
}

/** Entries read for the time of the oldest op of one code. */
const TIMES_READ = 8;

/** Asks every part, each for itself. Ends by itself soon after `signal`. */
export async function gatherOnline(
  sources: OnlineSources,
  offline: OfflineFacts,
  signal: AbortSignal,
): Promise<Gathered> {
  const { node, registration, reader, gaps, startedAt, now, mirror } = sources;
  const unchecked: { check: CheckId; code: string }[] = [];
  async function ask<T>(checks: readonly CheckId[], read: () => T | Promise<T>, otherwise: T): Promise<T> {
    try {
      return await read();
    } catch (error) {
      for (const check of checks) unchecked.push({ check, code: errorCode(error) });
      return otherwise;
    }
  }

  const nodes = await ask(
    ['peers', 'registrations', 'schema'],
    async () => (await registration.nodes('whole')).map(nodeFact),
    [],
  );
  const labels = new Map(nodes.map(({ id, label }) => [id, label]));
  const online = new Set(nodes.flatMap((each) => (each.online ? [each.id] : [])));
  const probed = node.registry
    .list()
    .filter(({ status, url }) => status === 'active' && url !== '')
    // Those that answer first: the silent ones may take all the time there is.
    .toSorted(
      (a, b) => Number(online.has(b.peerId)) - Number(online.has(a.peerId)) || (a.peerId < b.peerId ? -1 : 1),
    )
    .map(({ peerId, url, tlsFingerprint }) => ({
      id: peerId,
      label: labels.get(peerId) ?? peerId,
      url: url.replace(/\/+$/, ''),
      tlsFingerprint,
    }));
  const parts = { fetch: node.fetch, network: node.settings.myceliumNetwork, now };
  const clocks = await probeClocks(parts, probed, signal);
  if (signal.aborted) unchecked.push({ check: 'clock', code: 'peer-timeout' });
  const facts: OnlineFacts = {
    ...offline,
    startedAt,
    ownId: node.identity.peerId,
    schemaVersion: SCHEMA_VERSION,
    nodes,
    clocks,
    ownClock: await ownClockFact(node),
    dht: dhtFact(node),
    gaps: gaps(),
    quotas: quotaFacts(node, labels),
    stalls: sources.stalls(),
    forgotten: gapRowsOf(node.store).map((row) => ({
      ...row,
      label: labels.get(row.id) ?? row.id,
      active: node.registry.isActive(row.id),
    })),
    unequal: unequalDigests(node),
    forks: forkFacts(node),
    quarantine: await ask(
      ['quarantine', 'schema'],
      async () => quarantineFacts(node, (await reader.verdicts(DOCTOR_LIMITS.rows)).ops),
      [],
    ),
    conflicts: await ask(
      ['conflicts'],
      async () => conflictsFact(node.identity.peerId, await reader.conflicts(DOCTOR_LIMITS.rows)),
      { own: 0, others: 0 },
    ),
    alarms: node.alarms.list(),
    jobs: await jobsFact(sources.jobs),
    mirror: await ask(['mirror'], () => mirror?.(), undefined),
    rejoin: node.rejoin.standing(),
    scrub: sources.scrub.standing(),
  };
  return { facts, unchecked };
}

function nodeFact(node: Awaited<ReturnType<RegistrationPort['nodes']>>[number]): NodeFact {
  const {
    id,
    kind,
    status,
    schemaVersion,
    registeredAt,
    lastSyncAt,
    online,
    lastContactAt,
    connected,
    nextRetryAt,
    notCompared,
  } = node;
  const label = harmless(node.name || node.url || id);
  const error = node.error === undefined ? undefined : harmless(node.error, 200);
  return {
    id,
    label: label === id ? id : `${label} (${harmless(id)})`,
    url: harmless(node.url, 2048),
    kind,
    status,
    schemaVersion,
    registeredAt,
    lastSyncAt,
    online,
    lastContactAt,
    connected,
    nextRetryAt,
    notCompared,
    error,
    errorCode: node.errorCode,
  };
}

function dhtFact({ host, discovery }: Node): OnlineFacts['dht'] {
  const open = host.libp2p.getConnections().filter(({ status }) => status === 'open');
  return {
    tablePeers: discovery.tableSize(),
    connected: new Set(open.map(({ remotePeer }) => remotePeer.toString())).size,
    since: open.length === 0 ? undefined : Math.min(...open.map(({ timeline }) => timeline.open)),
  };
}

function quotaFacts(
  { registry, settings, store }: Node,
  labels: ReadonlyMap<string, string>,
): OnlineFacts['quotas'] {
  return registry.list().flatMap(({ peerId, status, quotaMb }) => {
    if (status !== 'active') return [];
    const label = labels.get(peerId) ?? peerId;
    const quota = { quotaMb: quotaMb ?? settings.authorQuotaMb, pendingOps: settings.authorQuotaPending };
    return [{ id: peerId, label, usage: store.usageOf(peerId), ...quota }];
  });
}

function conflictsFact(self: PeerId, states: readonly RecordState[]): OnlineFacts['conflicts'] {
  const own = states.filter(({ channel, key, members }) =>
    channel === 'public' ? parseRecordKey(key)?.owner === self : members?.writers.includes(self) === true,
  ).length;
  return { own, others: states.length - own };
}

/** What registered peers have shown last, against what is held now. */
function unequalDigests(node: Node): OnlineFacts['unequal'] {
  const { mycelium, registry, store } = node;
  const found: { peer: string; author: string }[] = [];
  for (const [peer, groups] of mycelium.frontiers()) {
    // What its version judges and this one does not is no damage.
    const covers = mycelium.coverageOf(peer)?.covers;
    if (!registry.isActive(peer) || covers === undefined || !isCoveredBy(covers, OWN_COVERAGE)) continue;
    for (const { author, channel, items, digest } of groups) {
      // An announcement alone tells no digest.
      if (channel !== 'public' || digest === '') continue;
      const feeds = store.feeds(author, 'public');
      if (hasGap(store, feeds) || !isWhole(feeds)) continue;
      if (sameFrontier(frontierOf(feeds), items) && node.digestOf(author, covers) !== digest)
        found.push({ peer, author });
    }
  }
  return found;
}

function forkFacts({ store }: Node): OnlineFacts['forks'] {
  return store
    .feedGroups()
    .flatMap(({ author, channel, feeds }) =>
      feeds.flatMap(({ epoch, fork }) => (fork === undefined ? [] : [{ author, channel, epoch }])),
    );
}

async function quarantineFacts(
  { identity, store }: Node,
  rows: readonly ListedVerdict[],
): Promise<OnlineFacts['quarantine']> {
  const groups = Map.groupBy(
    rows,
    ({ verdict }) => `${verdict.state} ${'code' in verdict ? verdict.code : ''}`,
  );
  const found: OnlineFacts['quarantine'][number][] = [];
  for (const listed of groups.values()) {
    const verdict = listed[0]?.verdict;
    if (verdict === undefined || verdict.state === 'counts') continue;
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
      forUpgrade: verdict.state === 'waits' && verdict.lacks === 'upgrade',
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
async function ownClockFact({ clock, identity, store }: Node): Promise<OnlineFacts['ownClock']> {
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

async function jobsFact(jobs: OnlineSources['jobs']): Promise<OnlineFacts['jobs']> {
  const { waiting, dead } = jobs.counts();
  const [lastDead] = (await jobs.list({ state: 'dead', limit: 1 })).jobs;
  // Newest first: the oldest of a thousand is old enough to tell by.
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
