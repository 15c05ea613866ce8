import type { Visibility } from '../api/ports/registration.ts';
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
  'trends-failed',
  'rows-repaired',
  'entries-damaged',
  'commit-failed',
  'tail-lost',
  'database-damaged',
]);

/** What opening the database found. */
type StorageAlarm =
  | { readonly kind: 'tail-lost'; readonly commits: number }
  | { readonly kind: 'database-damaged'; readonly holes: number; readonly problems: number };

/** A node presents a certificate that its key has not signed. */
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

/** The mirror has stopped until the operator has done something. */
interface MirrorAlarm {
  readonly kind: 'mirror-tables-missing' | 'mirror-refused' | 'mirror-denied' | 'mirror-displaced';
  readonly detail: string;
}

/** Twilio refuses the credentials: no SMS is sent. */
interface SmsAlarm {
  readonly kind: 'sms-denied';
  readonly status: number;
}

/** An author has signed a checkpoint that its entries do not give. */
interface CheckpointAlarm {
  readonly kind: 'checkpoint-false';
  readonly author: string;
  readonly id: string;
}

/** A part of the node failed to process an event. */
interface ListenerAlarm {
  readonly kind: 'listener-failed';
  readonly listener: string;
}

/** A record cannot be read or shown; the log says which, because it may be private. */
interface LeftOutAlarm {
  readonly kind: 'record-left-out';
}

/** A record is still unmerged after several attempts; it shows its last values. */
interface RecordAlarm {
  readonly kind: 'merge-outstanding';
  readonly key: string;
}

/** The thread that counts prices and listings died, or took too long. */
interface TrendsAlarm {
  readonly kind: 'trends-failed';
}

/** The scrub found stored rows that differ from the feeds. */
interface ScrubAlarm {
  readonly kind: 'rows-repaired' | 'entries-damaged';
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

/** A connected peer accepts no more entries of one of this node's feeds; private feeds are not named where anybody may read. */
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
  | TrendsAlarm
  | LeftOutAlarm
  | Alarm
  | ScrubAlarm
  | StorageAlarm
  | CertificateAlarm
  | DistrustAlarm
  | DiskAlarm
  | MirrorAlarm
  | SmsAlarm
  | CheckpointAlarm
  | ListenerAlarm;

export type AlarmKind = AnyAlarm['kind'];

function textOf(alarm: AnyAlarm): string {
  switch (alarm.kind) {
    case 'own-key-elsewhere':
      return "Another process is writing with this node's key. Stop one of the two, or give it its own identity.";
    case 'own-feed-forked':
      return "This node's feed was forked: somebody else is signing with its key. Its records were reissued; consider a new identity.";
    case 'feed-forked':
      return `Node ${alarm.author} signed two histories. Entries after the fork have no effect here.`;
    case 'author-over-quota':
      return `Node ${alarm.author} has reached its quota with ${mebibytes(alarm.usage.bytes)} MiB, ${mebibytes(alarm.usage.pendingBytes)} of them in ${alarm.usage.pending} pending operations; no more of its entries are accepted. ${raising(alarm)}; if you do not trust it: agrinet suspend ${alarm.author}`;
    case 'disk-filling':
      return `${mebibytes(alarm.free)} MiB are free; below ${mebibytes(alarm.reserve)} MiB, writes are refused. ${grown(alarm.most)}`;
    case 'feed-stalled':
      return `Node ${alarm.node} has been stuck at entry ${alarm.there} of this node's ${alarm.channel} feed ${alarm.epoch} for ${alarm.minutes} minutes, although it is reachable and newer entries are here. Ask its operator to check its disk, quota and version; agrinet doctor reports when it moves on.`;
    case 'commit-failed':
      return 'A write did not reach the disk and was refused.';
    case 'own-entries-returned':
      return 'A peer returned entries of this node that were missing here: the disk lost them, or an older copy of DATA_DIR was restored.';
    case 'foreign-certificate':
      return `Node ${alarm.node} presents a TLS certificate that its node key has not signed. Nothing is fetched from it over HTTPS until it presents one that is signed.`;
    case 'peer-distrusted':
      return `Node ${alarm.node} sent invalid data (${alarm.code}). Nothing is accepted from it for ${Math.round(alarm.forMs / 60_000)} minutes; what it sent before is kept.`;
    case 'mirror-tables-missing':
    case 'mirror-refused':
      return `The DynamoDB mirror is waiting: ${alarm.detail}`;
    case 'mirror-denied':
      return `DynamoDB refuses the mirror's credentials: ${alarm.detail}`;
    case 'mirror-displaced':
      return 'The DynamoDB mirror has stopped: a newer process writes to its tables. Stop one of the two, then restart this node.';
    case 'sms-denied':
      return `Twilio refuses this node's credentials (status ${alarm.status}), and no SMS is sent. Check TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN, and that the account is not suspended; then restart. Waiting messages are sent if that is done within a day of their notice.`;
    case 'listener-failed':
      return `The part "${alarm.listener}" failed to process an event; the log has the error. What it shows may be out of date until the node is restarted.`;
    case 'checkpoint-false':
      return `Node ${alarm.author} signed a checkpoint (${alarm.id.slice(0, 16)}) that differs from what its entries give. It has no effect here. Its node runs a faulty or altered version: ask its operator; if you do not trust it: agrinet suspend ${alarm.author}`;
    case 'merge-outstanding':
      return `Concurrent changes to ${alarm.key} could not be merged after several tries; it shows its previous values, marked unmerged, and the merge is retried. If memory is short, add more; otherwise restart the node.`;
    case 'trends-failed':
      return 'Trends could not be computed: the thread that computes them died or took too long. The last figures are shown, and the next request tries again. If the log says that memory ran out, the machine has too little of it.';
    case 'record-left-out':
      return 'Stored records cannot be read or shown and are left out of lists; the log names each. Run agrinet scrub to rebuild damaged rows; please report any that are still named afterwards, because that is a bug.';
    case 'rows-repaired':
      return `Stored rows of ${alarm.table} did not match the feeds and were rebuilt. If it happens again, this machine's disk or memory is failing.`;
    case 'entries-damaged':
      return 'Stored entries cannot be read, and what depends on them is not checked. Stop the node and run agrinet rebuild; peers return what is lost.';
    case 'tail-lost':
      return `The last ${alarm.commits} commits were missing from the database at the start; peers return what they have.`;
    case 'database-damaged':
      return `The database was damaged (${alarm.holes} commits missing, ${alarm.problems} problems) and was rebuilt at the start; peers return what they have. The log names what was removed.`;
  }
}

function raising({ what, author, usage }: Extract<Alarm, { kind: 'author-over-quota' }>): string {
  if (what === 'pending') return 'If you trust it, raise AUTHOR_QUOTA_PENDING and restart';
  return `If you trust it: agrinet nodes set ${author} --quota-mb ${roomierQuota(usage)}`;
}

/** MiB that give an author at its quota as much room again; pending ops may take an eighth of it. */
export function roomierQuota({ bytes, pendingBytes }: Pick<Usage, 'bytes' | 'pendingBytes'>): number {
  return 2 * Math.max(1, mebibytes(Math.max(bytes, PENDING_SHARE * pendingBytes)));
}

function mebibytes(bytes: number): number {
  return Math.round(bytes / 1024 / 1024);
}

function grown(most: DiskAlarm['most']): string {
  if (most === undefined || most.bytes < 1024 * 1024)
    return 'No node’s entries have grown since the start: check what else is filling the disk.';
  const whose = most.own ? 'This node itself' : `Node ${most.author}`;
  const remedy = most.own ? '' : `; if you do not want them: agrinet suspend ${most.author}`;
  return `${whose} has grown most since the start, by ${mebibytes(most.bytes)} MiB of entries${remedy}`;
}

function subjectOf(alarm: AnyAlarm): string {
  if (alarm.kind === 'feed-stalled') return `${alarm.kind}|${alarm.node}|${alarm.epoch}`;
  if (alarm.kind === 'author-over-quota') return `${alarm.kind}|${alarm.author}`;
  if (alarm.kind === 'checkpoint-false') return `${alarm.kind}|${alarm.author}`;
  if (alarm.kind === 'feed-forked') return `${alarm.kind}|${alarm.author}|${alarm.epoch}`;
  if (alarm.kind === 'listener-failed') return `${alarm.kind}|${alarm.listener}`;
  if (alarm.kind === 'merge-outstanding') return `${alarm.kind}|${alarm.key}`;
  return alarm.kind === 'foreign-certificate' || alarm.kind === 'peer-distrusted'
    ? `${alarm.kind}|${alarm.node}`
    : alarm.kind;
}

/**
 * Raised alarms, newest first; the same kind about the same subject is reported once a minute. `onRaised` is called for each,
 * however often.
 */
export function createAlarms(
  logger: Logger,
  now: () => number,
  steady: () => number = now,
  onRaised: (alarm: AnyAlarm) => void = () => undefined,
): {
  raise(alarm: AnyAlarm): void;
  /** All of them by default; only the public ones where `sees` says so. */
  list(sees?: Visibility): RaisedAlarm[];
  /** The operator has seen them: they are no longer reported, until one is raised again. Returns how many there were. */
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
