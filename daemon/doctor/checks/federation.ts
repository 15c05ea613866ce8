import { notComparedText } from '../../not-compared.ts';
import { DOCTOR_LIMITS, type NodeFact, type OnlineFacts } from '../facts.ts';
import { type Finding, finding, firstOf, harmless } from '../finding.ts';
import { isoTime } from '../../../protocols/wire/iso-time.ts';

const seconds = (ms: number): string => (Math.abs(ms) / 1000).toFixed(1);
const when = (ms: number): string => isoTime(ms);

/**
 * Clocks that differ by more than the round trip explains. Where all peers agree with one another, this clock is the wrong one,
 * and that is reported once.
 */
export function checkClock({ clocks, ownClock, now }: OnlineFacts): Finding[] {
  const off = clocks.filter(
    ({ offsetMs, uncertaintyMs }) => Math.abs(offsetMs) - uncertaintyMs >= DOCTOR_LIMITS.skewMs,
  );
  const own = off.length >= 2 && off.length === clocks.length && agree(off);
  const limit = `beyond ${DOCTOR_LIMITS.skewMostMs / 60_000} minutes signed requests and registrations are refused`;
  return [
    ...checkOwnClock(ownClock, now),
    ...firstOf(
      (own ? off.slice(0, 1) : off).map(({ label, id, offsetMs, uncertaintyMs }) => {
        const refused = Math.abs(offsetMs) >= DOCTOR_LIMITS.skewMostMs;
        const by = `${seconds(offsetMs)} s ${offsetMs > 0 ? 'ahead of' : 'behind'} this one (± ${seconds(uncertaintyMs)} s); ${limit}`;
        return own
          ? finding(refused ? 'own-clock-refused' : 'own-clock-off', {
              message: `the clocks of all ${off.length} peers asked are ${by}`,
            })
          : finding(refused ? 'peer-clock-refused' : 'peer-clock-off', {
              subject: id,
              message: `the clock of ${label} is ${by}`,
            });
      }),
    ),
  ];
}

/** Whether this clock is possible, whether it has jumped, and whether an own entry is dated ahead of it. */
function checkOwnClock(
  { wall, credible, doubtedMs, newestOwn }: OnlineFacts['ownClock'],
  now: number,
): Finding[] {
  const found: Finding[] = [];
  if (!credible)
    found.push(
      finding('clock-impossible', {
        message: `the clock of this machine reads ${when(wall)}, which cannot be right: no keys are issued and no commitments made until it is set`,
      }),
    );
  else if (doubtedMs >= DOCTOR_LIMITS.skewMs)
    found.push(
      finding('clock-set-ahead', {
        message: `the clock of this machine was set ${seconds(doubtedMs)} s ahead; nothing expires by it until it has stayed that way for ten minutes`,
      }),
    );
  if (newestOwn !== undefined && newestOwn - now >= DOCTOR_LIMITS.skewMostMs)
    found.push(
      finding('own-entry-ahead', {
        message: `the newest own entry is dated ${when(newestOwn)}, ahead of this clock: one of the two is wrong`,
      }),
    );
  return found;
}

function agree(clocks: OnlineFacts['clocks']): boolean {
  const offsets = clocks.map(({ offsetMs }) => offsetMs);
  const slack = Math.max(...clocks.map(({ uncertaintyMs }) => uncertaintyMs));
  return Math.max(...offsets) - Math.min(...offsets) <= 2 * slack + 1000;
}

/** Peers are connected, but none of them is in the DHT's table: no new node can be found. */
export function checkDht({ dht, now }: OnlineFacts): Finding[] {
  const { tablePeers, connected, since } = dht;
  if (tablePeers > 0 || since === undefined || now - since < DOCTOR_LIMITS.graceMs) return [];
  return [
    finding('dht-empty', {
      message: `the DHT table is empty although ${connected} peers are connected: none of them speaks the DHT of this MYCELIUM_NETWORK`,
    }),
  ];
}

/** Registered nodes that neither are connected nor answered the last sync. */
export function checkPeers({ nodes, now, startedAt }: OnlineFacts): Finding[] {
  const settling = now - startedAt < DOCTOR_LIMITS.graceMs;
  const away = nodes.filter(({ status, online }) => status === 'active' && !online);
  return firstOf(
    away.map((node): Finding => {
      const { id, label, url, registeredAt, lastSyncAt, lastContactAt, nextRetryAt, error } = node;
      const message = [
        `${label} cannot be reached${error === undefined ? '' : ` (${error})`}`,
        // A node that went away before the first check was heard from when it registered or synced.
        `silent since ${when(lastContactAt ?? Math.max(lastSyncAt, registeredAt))}`,
        lastSyncAt === 0 ? 'never synced' : `last synced at ${when(lastSyncAt)}`,
        ...(nextRetryAt === undefined ? [] : [`next attempt at ${when(nextRetryAt)}`]),
      ].join('; ');
      if (wantsKey(node.errorCode))
        return finding('source-wants-key', { subject: id, message, values: { url } });
      const late = settling || now - registeredAt < DOCTOR_LIMITS.graceMs;
      return finding(late ? 'peer-late' : 'peer-away', { subject: id, message, values: { node: id } });
    }),
  );
}

/** Whether a source requires a key that this node does not have: nothing else helps then. */
export function wantsKey(code: string | undefined): boolean {
  return code === 'source-key-needed' || code === 'source-key-refused';
}

const REGISTRATION = {
  pending: { id: 'node-pending', what: 'is waiting for your approval' },
  suspended: { id: 'node-suspended', what: 'is suspended: its later entries are ignored' },
  revoked: { id: 'node-revoked', what: 'is revoked' },
} as const;

/** Nodes that are registered but not replicated with, mostly on purpose. */
export function checkRegistrations({ nodes }: OnlineFacts): Finding[] {
  return firstOf(
    nodes.flatMap(({ id: node, label, status }): Finding[] => {
      if (status === 'active') return [];
      const { id, what } = REGISTRATION[status];
      return [finding(id, { subject: node, message: `${label} ${what}`, values: { node } })];
    }),
  );
}

/** Nodes, or ops of theirs, that are newer than this node. */
export function checkSchema({ nodes, schemaVersion, quarantine }: OnlineFacts): Finding[] {
  const newer = (node: NodeFact): boolean =>
    node.status === 'active' && (node.schemaVersion ?? 0) > schemaVersion;
  const found = firstOf(
    nodes.filter(newer).map(({ id, label, schemaVersion: theirs }) =>
      finding('node-newer', {
        subject: id,
        message: `${label} has schema version ${theirs}, this node has ${schemaVersion}: what is new in it is stored here without effect`,
      }),
    ),
  );
  const ops = quarantine.filter(({ forUpgrade }) => forUpgrade);
  const count = ops.reduce((sum, each) => sum + each.count, 0);
  if (count > 0)
    found.push(
      finding('ops-newer', {
        message: `${count} ops of a newer schema are pending until this node is upgraded`,
      }),
    );
  return found;
}

/** Entries that are known to exist and have been missing for long. */
export function checkGaps({ gaps, now }: OnlineFacts): Finding[] {
  return firstOf(
    gaps
      .filter(({ since }) => now - since >= DOCTOR_LIMITS.gapMs)
      .map(({ subject, kind, entries, since }) =>
        kind === 'shown'
          ? finding('entries-lacking', {
              subject,
              message: `${subject} shows ${entries} entries that have been missing here since ${when(since)}`,
            })
          : finding('feeds-lacking', {
              subject,
              message: `${subject} names ${entries} earlier feeds of its own that nobody has provided since ${when(since)}`,
            }),
      ),
  );
}

/** Equal frontiers but unequal digests: a disk or a version is at fault. */
export function checkDigests({ unequal, nodes }: OnlineFacts): Finding[] {
  const leftOut = nodes.flatMap(({ id, label, status, notCompared }) =>
    status === 'active'
      ? notCompared.map((each) =>
          finding('digests-not-compared', {
            subject: id,
            message: `not compared with ${label}: ${notComparedText(each)}`,
          }),
        )
      : [],
  );
  const differing = firstOf(
    unequal.map(({ peer, author }) =>
      finding('digest-differs', {
        subject: author,
        message: `${peer} has the same entries of ${author} but different records`,
        values: { peer },
      }),
    ),
  );
  return [...differing, ...firstOf(leftOut)];
}

/** Feeds with a proof of two histories; those of nodes that are no longer replicated with do not matter. */
export function checkForks({ forks, ownId, nodes }: OnlineFacts): Finding[] {
  const active = new Set(nodes.flatMap(({ id, status }) => (status === 'active' ? [id] : [])));
  const authors = new Map<string, number>();
  for (const { author } of forks)
    if (author === ownId || active.has(author)) authors.set(author, (authors.get(author) ?? 0) + 1);
  return firstOf(
    [...authors].map(([author, count]) =>
      author === ownId
        ? finding('own-feed-forked', {
            subject: author,
            message: `somebody else has signed with this node's key (${count} forked feeds); its records were reissued`,
          })
        : finding('feed-forked', {
            subject: author,
            message: `${author} has signed two histories (${count} forked feeds); what follows the fork has no effect anywhere`,
            values: { node: author },
          }),
    ),
  );
}

/** The recovery fence after a loss. The short one of an ordinary start does not concern the operator. */
export function checkRejoin({ rejoin }: OnlineFacts): Finding[] {
  if (!rejoin.waiting || rejoin.recovery === undefined) return [];
  const silent = rejoin.peers.filter(({ answered }) => !answered);
  const missing = silent.slice(0, 5).map(({ peer }) => harmless(peer));
  const more = silent.length > 5 ? ` and ${silent.length - 5} more` : '';
  return [
    finding('recovery-fence', {
      message: `recovery fence: no new commitments until every active peer has answered (${rejoin.recovery.cause}): ${
        rejoin.peers.length - silent.length
      } have, ${missing.join(', ')}${more} ${silent.length === 1 ? 'has' : 'have'} not`,
    }),
  ];
}
