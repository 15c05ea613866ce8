import type { AlarmKind } from '../../alarms.ts';
import { error, type FindingKind, warning } from '../finding-kind.ts';

/** Alarms that the check of their subject reports, and that clear once it is fixed. */
type ReportedElsewhere =
  | 'feed-forked'
  | 'own-feed-forked'
  | 'rows-repaired'
  | 'entries-damaged'
  | 'disk-filling'
  | 'feed-stalled'
  | 'mirror-tables-missing'
  | 'mirror-refused'
  | 'mirror-denied'
  | 'mirror-displaced';
type AlarmFinding = `alarm-${Exclude<AlarmKind, ReportedElsewhere>}`;

/** An alarm is reported until somebody clears it; if its cause persists, it is raised again. */
const SEEN = 'agrinet alarms --clear';

/** Alarms that no other check reports. */
export const ALARMS = {
  'alarm-own-key-elsewhere': error(
    'alarms',
    'another process writes with this node’s key',
    `end the other process; then ${SEEN}`,
  ),
  'alarm-author-over-quota': warning(
    'alarms',
    'an author is over its quota',
    `agrinet nodes set <that node> --quota-mb <MiB>, or agrinet suspend <that node>; then ${SEEN}`,
  ),
  'alarm-commit-failed': error(
    'alarms',
    'a write did not reach the disk',
    `check the disk: df -h, dmesg; then ${SEEN}`,
  ),
  'alarm-own-entries-returned': warning(
    'alarms',
    'peers returned entries of this node that were missing here',
    `agrinet rejoin shows which peers have yet to answer; then ${SEEN}`,
  ),
  'alarm-foreign-certificate': error(
    'alarms',
    'a node presents a certificate that its key has not signed',
    `ask its operator; once it presents its own again: agrinet sync, then ${SEEN}`,
  ),
  'alarm-peer-distrusted': error(
    'alarms',
    'a node sent invalid data',
    `agrinet suspend <that node>, until its operator has fixed it; then ${SEEN}`,
  ),
  'alarm-listener-failed': error(
    'alarms',
    'a part of this node failed to process an event',
    'restart the daemon',
  ),
  'alarm-sms-denied': error(
    'alarms',
    'Twilio refuses the credentials, and no SMS is sent',
    'restart the daemon, with TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN of an account that is active',
  ),
  'alarm-record-left-out': error(
    'alarms',
    'records that cannot be read or shown are left out of lists',
    `agrinet scrub; then ${SEEN}`,
  ),
  'alarm-checkpoint-false': error(
    'alarms',
    'a node signed a checkpoint that its entries do not give',
    `agrinet suspend <that node>, until its operator has fixed it; then ${SEEN}`,
  ),
  'alarm-merge-outstanding': error(
    'alarms',
    'a document could not be merged and shows its previous values',
    'restart the daemon, on a machine with more memory if this happens again',
  ),
  'alarm-trends-failed': warning(
    'alarms',
    'trends could not be computed',
    'restart the daemon, on a machine with more memory if this happens again',
  ),
  'alarm-tail-lost': warning(
    'alarms',
    'the newest commits were missing at the start',
    `agrinet sync; then ${SEEN}`,
  ),
  'alarm-database-damaged': warning(
    'alarms',
    'the database was damaged and rebuilt at the start',
    `agrinet sync; then ${SEEN}`,
  ),
} as const satisfies Readonly<Record<AlarmFinding, FindingKind>>;
