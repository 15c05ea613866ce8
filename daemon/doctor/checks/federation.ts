import { notComparedText } from '../../not-compared.ts';
import { DOCTOR_LIMITS, type NodeFact, type OnlineFacts } from '../facts.ts';
import { type Finding, firstOf, harmless } from '../finding.ts';
import { isoTime } from '../../../protocols/wire/iso-time.ts';

const seconds = (ms: number): string => (Math.abs(ms) / 1000).toFixed(1);
const when = (ms: number): string => isoTime(ms);

/**
 * Clocks that differ by more than can be the way of the answer. Where all peers agree with one another it is this one that is
 * wrong, and that is said once.
 */
export function checkClock({ clocks, ownClock, now }: OnlineFacts): Finding[] {
  const off = clocks.filter(
    ({ offsetMs, uncertaintyMs }) => Math.abs(offsetMs) - uncertaintyMs >= DOCTOR_LIMITS.skewMs,
  );
  const own = off.length >= 2 && off.length === clocks.length && agree(off);
  return [
    ...checkOwnClock(ownClock, now),
    ...firstOf(
      (own ? off.slice(0, 1) : off).map(({ label, id, offsetMs, uncertaintyMs }) => ({
        check: 'clock',
        severity: Math.abs(offsetMs) >= DOCTOR_LIMITS.skewMostMs ? 'error' : 'warning',
        ...(own ? {} : { subject: id }),
        message: `${own ? `the clocks of all ${off.length} peers asked are` : `the clock of ${label} is`} ${seconds(offsetMs)} s ${
          offsetMs > 0 ? 'ahead of' : 'behind'
        } this one (± ${seconds(uncertaintyMs)} s); beyond ${DOCTOR_LIMITS.skewMostMs / 60_000} minutes signed requests and registrations are refused`,
        mend: 'timedatectl set-ntp true',
      })),
    ),
  ];
}

/** This clock against what can be, against itself and against what it has dated. */
function checkOwnClock(
  { wall, credible, doubtedMs, newestOwn }: OnlineFacts['ownClock'],
  now: number,
): Finding[] {
  const about = { check: 'clock', severity: 'warning', mend: 'timedatectl set-ntp true' } as const;
  const found: Finding[] = [];
  if (!credible)
    found.push({
      ...about,
      message: `the clock of this machine reads ${when(wall)}, which cannot be: keys and promises wait until it is set`,
    });
  else if (doubtedMs >= DOCTOR_LIMITS.skewMs)
    found.push({
      ...about,
      message: `the clock of this machine was set ${seconds(doubtedMs)} s ahead; nothing ends by it before it has stood so for ten minutes`,
    });
  if (newestOwn !== undefined && newestOwn - now >= DOCTOR_LIMITS.skewMostMs)
    found.push({
      ...about,
      message: `the newest own entry is dated ${when(newestOwn)}, ahead of this clock: one of them is wrong. If the clock is right now, the next entry of this node ends this`,
    });
  return found;
}

function agree(clocks: OnlineFacts['clocks']): boolean {
  const offsets = clocks.map(({ offsetMs }) => offsetMs);
  const slack = Math.max(...clocks.map(({ uncertaintyMs }) => uncertaintyMs));
  return Math.max(...offsets) - Math.min(...offsets) <= 2 * slack + 1000;
}

/** Peers are connected, and none of them is in the DHT's table: nobody new can be found. */
export function checkDht({ dht, now }: OnlineFacts): Finding[] {
  const { tablePeers, connected, since } = dht;
  if (tablePeers > 0 || since === undefined || now - since < DOCTOR_LIMITS.settleMs) return [];
  return [
    {
      check: 'dht',
      severity: 'warning',
      message: `the DHT table is empty although ${connected} peers are connected: none of them speaks the DHT of this MYCELIUM_NETWORK`,
      mend: 'MYCELIUM_NETWORK=<the name that the others have>, or MYCELIUM_PEERS=<a node of it>',
    },
  ];
}

/** Registered nodes that neither are connected nor answered the last sync. */
export function checkPeers({ nodes, now, startedAt }: OnlineFacts): Finding[] {
  const settling = now - startedAt < DOCTOR_LIMITS.settleMs;
  const away = nodes.filter(({ status, online }) => status === 'active' && !online);
  return firstOf(
    away.map(({ id, label, registeredAt, lastSyncAt, lastContactAt, nextRetryAt, error, errorCode }) => ({
      check: 'peers',
      severity: settling || now - registeredAt < DOCTOR_LIMITS.settleMs ? 'info' : 'warning',
      subject: id,
      message: [
        `${label} cannot be reached${error === undefined ? '' : ` (${error})`}`,
        // One that went before anybody looked was heard from when it registered or synced.
        `silent since ${when(lastContactAt ?? Math.max(lastSyncAt, registeredAt))}`,
        lastSyncAt === 0 ? 'never synced with it' : `last synced at ${when(lastSyncAt)}`,
        ...(nextRetryAt === undefined ? [] : [`tried again at ${when(nextRetryAt)}`]),
      ].join('; '),
      mend: keyMend(id, errorCode) ?? 'agrinet status',
    })),
  );
}

/** The command that gives a source its key, where that is what it lacks. */
export function keyMend(source: string | undefined, code: string | undefined): string | undefined {
  if (source === undefined || (code !== 'source-key-needed' && code !== 'source-key-refused'))
    return undefined;
  return `agrinet nodes add ${harmless(source.replace(/^legacy:/, ''))} --key-file <file with the key>`;
}

const REGISTRATION: Readonly<
  Record<'pending' | 'suspended' | 'revoked', { readonly what: string; readonly command: string }>
> = {
  pending: { what: 'waits for your word', command: 'agrinet nodes approve' },
  suspended: { what: 'is suspended: nothing later of it is taken', command: 'agrinet resume' },
  revoked: { what: 'is revoked', command: 'agrinet nodes approve' },
};

/** Nodes that are registered and not replicated with: mostly meant so. */
export function checkRegistrations({ nodes }: OnlineFacts): Finding[] {
  return firstOf(
    nodes.flatMap(({ id, label, status }): Finding[] => {
      if (status === 'active') return [];
      const { what, command } = REGISTRATION[status];
      return [
        {
          check: 'registrations',
          severity: 'info',
          subject: id,
          message: `${label} ${what}`,
          mend: `${command} ${id}`,
        },
      ];
    }),
  );
}

/** Nodes, or ops of theirs, that are newer than this node. */
export function checkSchema({ nodes, schemaVersion, quarantine }: OnlineFacts): Finding[] {
  const newer = (node: NodeFact): boolean =>
    node.status === 'active' && (node.schemaVersion ?? 0) > schemaVersion;
  const found = firstOf(
    nodes.filter(newer).map(({ id, label, schemaVersion: theirs }): Finding => ({
      check: 'schema',
      severity: 'warning',
      subject: id,
      message: `${label} has schema version ${theirs}, this node ${schemaVersion}: what is new in it is kept here and has no effect`,
      mend: 'upgrade this agrinetd; nothing is lost meanwhile',
    })),
  );
  const ops = quarantine.filter(({ forUpgrade }) => forUpgrade);
  const count = ops.reduce((sum, each) => sum + each.count, 0);
  if (count > 0)
    found.push({
      check: 'schema',
      severity: 'warning',
      message: `${count} ops of a newer schema wait for an upgrade of this node`,
      mend: 'upgrade this agrinetd; nothing is lost meanwhile',
    });
  return found;
}

/** What is known of and has not come for long. */
export function checkGaps({ gaps, now }: OnlineFacts): Finding[] {
  return firstOf(
    gaps
      .filter(({ since }) => now - since >= DOCTOR_LIMITS.gapMs)
      .map(({ subject, kind, entries, since }) => ({
        check: 'gaps',
        severity: 'warning',
        subject,
        message:
          kind === 'shown'
            ? `${subject} shows ${entries} entries that are lacking here since ${when(since)}`
            : `${subject} names ${entries} earlier feeds of its own that nobody has brought since ${when(since)}`,
        mend: kind === 'shown' ? `agrinet doctor --diff ${subject}` : 'agrinet status',
      })),
  );
}

/** Equal frontier, unequal digest: somebody's disk or somebody's code is wrong. */
export function checkDigests({ unequal, nodes }: OnlineFacts): Finding[] {
  const leftOut = nodes.flatMap(({ id, label, status, notCompared }) =>
    status === 'active'
      ? notCompared.map((each): Finding => ({
          check: 'digests',
          severity: 'info',
          subject: id,
          message: `not compared with ${label}: ${notComparedText(each)}`,
          mend: 'upgrade whichever of the two is older; nothing is lost meanwhile',
        }))
      : [],
  );
  const differing = firstOf(
    unequal.map(({ peer, author }) => ({
      check: 'digests',
      severity: 'error',
      subject: author,
      message: `${peer} has the same entries of ${author} and another state of its records`,
      mend: `agrinet doctor --diff ${peer}`,
    })),
  );
  return [...differing, ...firstOf(leftOut)];
}

/** Feeds with a proof of two histories; they stay for good. */
export function checkForks({ forks, ownId }: OnlineFacts): Finding[] {
  const authors = new Map<string, number>();
  for (const { author } of forks) authors.set(author, (authors.get(author) ?? 0) + 1);
  return firstOf(
    [...authors].map(([author, count]) => {
      const own = author === ownId;
      return {
        check: 'forks',
        severity: own ? 'error' : 'warning',
        subject: author,
        message: own
          ? `somebody else has signed with this node's key (${count} forked feeds); its records were issued again`
          : `${author} has signed two histories (${count} forked feeds); what follows the fork has no effect anywhere`,
        mend: own ? 'a new identity: move DATA_DIR away and join anew' : `agrinet suspend ${author}`,
      };
    }),
  );
}

/** Promises that wait after a loss; the short wait of an ordinary start is none of the operator's business. */
export function checkRejoin({ rejoin }: OnlineFacts): Finding[] {
  if (!rejoin.waiting || rejoin.recovery === undefined) return [];
  const silent = rejoin.peers.filter(({ answered }) => !answered);
  const missing = silent.slice(0, 5).map(({ peer }) => harmless(peer));
  const more = silent.length > 5 ? ` and ${silent.length - 5} more` : '';
  return [
    {
      check: 'rejoin',
      severity: 'warning',
      message: `promises wait until every active peer has answered (${rejoin.recovery.cause}): ${
        rejoin.peers.length - silent.length
      } have, ${missing.join(', ')}${more} ${silent.length === 1 ? 'has' : 'have'} not`,
      mend: 'agrinet rejoin --force',
    },
  ];
}
