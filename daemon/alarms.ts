import type { Sees } from '../api/ports/registration.ts';
import { PENDING_SHARE, type Usage } from '../protocols/feed/quota.ts';
import type { Alarm } from '../protocols/ledger/types.ts';
import type { Logger } from './logger.ts';
import { isoTime } from '../protocols/wire/iso-time.ts';

/** An alarm as the operator sees it on the page, in /ready and in the log. */
export interface RaisedAlarm {
  readonly kind: string;
  readonly at: string;
  readonly text: string;
}

const KEPT = 50;

/**
 * Alarms that everybody may read. The others can come from a private channel, or name figures that its entries move; they are the
 * operator's.
 */
const PUBLIC: ReadonlySet<AnyAlarm['kind']> = new Set<AnyAlarm['kind']>([
  'foreign-certificate',
  'mirror-tables-missing',
  'mirror-denied',
  'mirror-displaced',
  'listener-failed',
  'rows-mended',
  'entries-damaged',
  'commit-failed',
  'tail-lost',
  'database-damaged',
]);

/** What opening the database found. */
type StorageAlarm =
  | { readonly kind: 'tail-lost'; readonly commits: number }
  | { readonly kind: 'database-damaged'; readonly holes: number; readonly problems: number };

/** A node shows a certificate that its key does not vouch for. */
interface CertificateAlarm {
  readonly kind: 'foreign-certificate';
  readonly node: string;
}

/** A peer has sent what no honest node can have sent. */
interface DistrustAlarm {
  readonly kind: 'peer-distrusted';
  readonly node: string;
  readonly code: string;
  readonly forMs: number;
}

/** The mirror stands still until the operator has done something. */
interface MirrorAlarm {
  readonly kind: 'mirror-tables-missing' | 'mirror-refused' | 'mirror-denied' | 'mirror-displaced';
  readonly detail: string;
}

/** A part of the node did not take in something that has happened. */
interface ListenerAlarm {
  readonly kind: 'listener-failed';
  readonly listener: string;
}

/** A record cannot be read or shown; which, the log says: it may be private. */
interface LeftOutAlarm {
  readonly kind: 'record-left-out';
}

/** A record waits for its judgement through several tries; it shows what it showed before. */
interface RecordAlarm {
  readonly kind: 'merge-outstanding';
  readonly key: string;
}

/** The scrub found stored rows that differ from the feeds. */
interface ScrubAlarm {
  readonly kind: 'rows-mended' | 'entries-damaged';
  readonly table: string;
}

/** The disk is on its way to be full; long before writes are refused. Bytes. */
export interface DiskAlarm {
  readonly kind: 'disk-filling';
  readonly free: number;
  readonly reserve: number;
  /** Whose entries have grown most since the start. */
  readonly most: { readonly author: string; readonly bytes: number; readonly own: boolean } | undefined;
}

/** A peer that is there takes nothing more of one of this node's feeds; private ones are not named where anybody may read. */
interface StallAlarm {
  readonly kind: 'feed-stalled';
  readonly node: string;
  readonly channel: 'public' | 'private';
  readonly epoch: string;
  readonly there: number;
  readonly minutes: number;
}

export type AnyAlarm =
  | StallAlarm
  | RecordAlarm
  | LeftOutAlarm
  | Alarm
  | ScrubAlarm
  | StorageAlarm
  | CertificateAlarm
  | DistrustAlarm
  | DiskAlarm
  | MirrorAlarm
  | ListenerAlarm;

export type AlarmKind = AnyAlarm['kind'];

function textOf(alarm: AnyAlarm): string {
  switch (alarm.kind) {
    case 'own-key-elsewhere':
      return "Another process writes with this node's key. Stop one of the two, or give it an identity of its own.";
    case 'own-feed-forked':
      return "This node's feed was forked: somebody else signs with its key. Its records were issued again; consider a new identity.";
    case 'feed-forked':
      return `Node ${alarm.author} signed two histories. What follows the fork has no effect here.`;
    case 'author-over-quota':
      return `Node ${alarm.author} takes up ${mebibytes(alarm.usage.bytes)} MiB here, ${mebibytes(alarm.usage.pendingBytes)} of them in ${alarm.usage.pending} ops that wait: over its quota, nothing more of it is taken. ${raising(alarm)}; if it is not honest: agrinet suspend ${alarm.author}`;
    case 'disk-filling':
      return `${mebibytes(alarm.free)} MiB are free, and at ${mebibytes(alarm.reserve)} writes are refused. ${grown(alarm.most)}`;
    case 'feed-stalled':
      return `Node ${alarm.node} has been at entry ${alarm.there} of this node's ${alarm.channel} feed ${alarm.epoch} for ${alarm.minutes} minutes, although it is there and more is held here. Its disk, its quota or its version: ask its operator; agrinet doctor says when it moves.`;
    case 'commit-failed':
      return 'A write did not reach the disk and was refused.';
    case 'own-entries-returned':
      return 'A peer gave back entries of this node that were gone here: the disk lost them, or an older copy of DATA_DIR was put back.';
    case 'foreign-certificate':
      return `Node ${alarm.node} shows a TLS certificate that its key does not vouch for. Nothing is taken from there over HTTPS until it does.`;
    case 'peer-distrusted':
      return `Node ${alarm.node} sent what no honest node can have sent (${alarm.code}). Nothing is taken from it for ${Math.round(alarm.forMs / 60_000)} minutes; what was good before stays.`;
    case 'mirror-tables-missing':
    case 'mirror-refused':
      return `The DynamoDB mirror waits: ${alarm.detail}`;
    case 'mirror-denied':
      return `DynamoDB refuses the mirror's credentials: ${alarm.detail}`;
    case 'mirror-displaced':
      return 'The DynamoDB mirror has stopped: a newer process writes to its tables. Stop one of the two, then start this node again.';
    case 'listener-failed':
      return `The part "${alarm.listener}" failed over something that has happened; the log names it. What it shows may be behind until the next start.`;
    case 'merge-outstanding':
      return `What was written to ${alarm.key} at the same time could not be merged in several tries; it shows the values of before, marked unmerged, and is tried again. If memory is short, give the machine more; else restart the node.`;
    case 'record-left-out':
      return 'Stored records cannot be read or shown and are left out of lists; the log names each. agrinet scrub makes damaged rows anew; what is named again after that is a fault of this program: report it.';
    case 'rows-mended':
      return `Stored rows of ${alarm.table} were not what the feeds say, and were made anew. If it happens again, this machine's disk or memory is failing.`;
    case 'entries-damaged':
      return 'Stored entries cannot be read, and what rests on them is not checked: stop the node and run agrinet rebuild; peers give back what is lost.';
    case 'tail-lost':
      return `The last ${alarm.commits} commits were gone from the database at the start; peers fill in what they have.`;
    case 'database-damaged':
      return `The database was damaged (${alarm.holes} commits missing, ${alarm.problems} problems) and rebuilt at the start; peers fill in what they have, the log names what was taken away.`;
  }
}

function raising({ what, author, usage }: Extract<Alarm, { kind: 'author-over-quota' }>): string {
  if (what === 'pending') return 'If it is honest, raise AUTHOR_QUOTA_PENDING and start again';
  return `If it is honest: agrinet nodes set ${author} --quota-mb ${roomierQuota(usage)}`;
}

/** MiB that leave an author who is at its quota as much room again: ops that wait may be an eighth of it. */
export function roomierQuota({ bytes, pendingBytes }: Pick<Usage, 'bytes' | 'pendingBytes'>): number {
  return 2 * Math.max(1, mebibytes(Math.max(bytes, PENDING_SHARE * pendingBytes)));
}

function mebibytes(bytes: number): number {
  return Math.round(bytes / 1024 / 1024);
}

function grown(most: DiskAlarm['most']): string {
  if (most === undefined || most.bytes < 1024 * 1024)
    return 'No node’s entries have grown since the start: see what else fills the disk.';
  const whose = most.own ? 'This node itself' : `Node ${most.author}`;
  const mend = most.own ? '' : `; if that is none you want: agrinet suspend ${most.author}`;
  return `${whose} has grown most since the start, by ${mebibytes(most.bytes)} MiB of entries${mend}`;
}

function subjectOf(alarm: AnyAlarm): string {
  if (alarm.kind === 'feed-stalled') return `${alarm.kind}|${alarm.node}|${alarm.epoch}`;
  if (alarm.kind === 'author-over-quota') return `${alarm.kind}|${alarm.author}`;
  if (alarm.kind === 'feed-forked') return `${alarm.kind}|${alarm.author}|${alarm.epoch}`;
  if (alarm.kind === 'listener-failed') return `${alarm.kind}|${alarm.listener}`;
  if (alarm.kind === 'merge-outstanding') return `${alarm.kind}|${alarm.key}`;
  return alarm.kind === 'foreign-certificate' || alarm.kind === 'peer-distrusted'
    ? `${alarm.kind}|${alarm.node}`
    : alarm.kind;
}

/**
 * Raised alarms, newest first; the same kind about the same thing is told once in a minute. `onRaised` hears of each, however often.
 */
export function createAlarms(
  logger: Logger,
  now: () => number,
  steady: () => number = now,
  onRaised: (alarm: AnyAlarm) => void = () => undefined,
): {
  raise(alarm: AnyAlarm): void;
  /** Without a word all of them; those for the public only where `sees` says so. */
  list(sees?: Sees): RaisedAlarm[];
  /** The operator has seen to them: they are told no more, until one is raised again. How many there were. */
  clear(): number;
  /** How often each kind was raised since the start. */
  counts(): ReadonlyMap<string, number>;
} {
  const raised: (RaisedAlarm & { readonly kind: AnyAlarm['kind'] })[] = [];
  const last = new Map<string, number>();
  const counts = new Map<string, number>();
  function note(alarm: AnyAlarm): void {
    const id = subjectOf(alarm);
    if (steady() - (last.get(id) ?? -Infinity) < 60_000) return;
    last.set(id, steady());
    raised.unshift({ kind: alarm.kind, at: isoTime(now()), text: textOf(alarm) });
    raised.splice(KEPT);
    counts.set(alarm.kind, (counts.get(alarm.kind) ?? 0) + 1);
    logger.error({ ...alarm }, 'alarm');
  }
  return {
    raise(alarm) {
      note(alarm);
      onRaised(alarm);
    },
    list: (sees = 'whole') => raised.filter(({ kind }) => sees === 'whole' || PUBLIC.has(kind)),
    clear() {
      last.clear();
      return raised.splice(0).length;
    },
    counts: () => counts,
  };
}
