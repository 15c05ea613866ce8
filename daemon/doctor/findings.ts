import type { AlarmKind } from '../alarms.ts';
import type { CheckId, Severity } from './finding.ts';

/** What the doctor can find, before it is about anything. */
export interface FindingKind {
  readonly check: CheckId;
  readonly severity: Severity;
  /** What is found, for the table of the README. */
  readonly what: string;
  /**
   * What makes it go, first of all a command. `{name}` stands for a value of the case, `<a thing>` for what only the operator knows.
   * Whoever adds a finding shows in `test/unit/doctor/cases` that this mends it.
   */
  readonly remedy: string;
  /** It stays whatever anybody does, and why; only what is good to know may. */
  readonly lasting?: string;
}

/** Alarms that are found by the check of what they are about, where they go when that is mended. */
export type ToldElsewhere =
  | 'feed-forked'
  | 'own-feed-forked'
  | 'rows-mended'
  | 'entries-damaged'
  | 'disk-filling'
  | 'feed-stalled'
  | 'mirror-tables-missing'
  | 'mirror-refused'
  | 'mirror-denied'
  | 'mirror-displaced';
type AlarmFinding = `alarm-${Exclude<AlarmKind, ToldElsewhere>}`;

const NTP = 'timedatectl set-ntp true';
const RENEW = 'put a certificate that holds into {path}; it is taken over without a restart';
const PUT_BACK = 'put {path} back from a backup';
const REPLACED = 'upgrade this agrinetd; nothing is lost meanwhile';
/** An alarm is told until somebody has said that it is seen to; if its cause is still there, it comes again. */
const SEEN = 'agrinet alarms --clear';

const STATES = {
  'daemon-down': {
    check: 'daemon',
    severity: 'error',
    what: 'no daemon answers on this machine',
    remedy: 'agrinet start',
  },
  'daemon-not-there': {
    check: 'daemon',
    severity: 'error',
    what: 'no daemon answers at BACKEND_URL',
    remedy: 'BACKEND_URL=<the URL of the node>',
  },
  'setting-mistyped': {
    check: 'settings',
    severity: 'warning',
    what: 'a name in the environment is almost a setting',
    remedy: '{meant}=<the value>, and unset {name}',
  },
  'setting-unknown': {
    check: 'settings',
    severity: 'warning',
    what: 'a name in the environment looks like a setting and is none',
    remedy: 'unset {name}',
  },
  'setting-wrong': {
    check: 'settings',
    severity: 'error',
    what: 'a setting has a value it cannot have',
    remedy: '{setting}',
  },
  'secret-weak': {
    check: 'secrets',
    severity: 'error',
    what: 'a secret of a node that others reach can be guessed',
    remedy: '{name}=$(openssl rand -base64 32)',
  },
  'secret-weak-here': {
    check: 'secrets',
    severity: 'info',
    what: 'the same on loopback',
    remedy: '{name}=$(openssl rand -base64 32)',
  },
  'open-without-tls': {
    check: 'exposure',
    severity: 'warning',
    what: 'others reach the node without TLS',
    remedy: 'TLS_CERT_FILE=<file> TLS_KEY_FILE=<file>, or HOST=127.0.0.1 behind a proxy',
  },
  'open-without-url': {
    check: 'exposure',
    severity: 'warning',
    what: 'others reach the node and are told no URL of it',
    remedy: 'PUBLIC_URL=https://<this node>',
  },
  'url-without-tls': {
    check: 'exposure',
    severity: 'warning',
    what: 'PUBLIC_URL is plain http',
    remedy: 'PUBLIC_URL=https://<this node>',
  },
  'rate-unlimited': {
    check: 'exposure',
    severity: 'warning',
    what: 'a public node without a limit on requests',
    remedy: 'RATE_LIMIT=1000',
  },
  'private-peers-allowed': {
    check: 'exposure',
    severity: 'info',
    what: 'a public node that asks private addresses',
    remedy: 'ALLOW_PRIVATE_PEERS=off',
  },
  'secret-file-open': {
    check: 'files',
    severity: 'error',
    what: 'others can read or change a file with a secret',
    remedy: 'chmod 600 {path}',
  },
  'secret-file-damaged': {
    check: 'files',
    severity: 'error',
    what: 'the identity or the pepper cannot be read',
    remedy: PUT_BACK,
  },
  'api-key-damaged': {
    check: 'files',
    severity: 'error',
    what: 'the file of the API key cannot be read',
    remedy: 'rm {path}; the next start makes a new one',
  },
  'identity-gone': { check: 'files', severity: 'error', what: 'the identity is gone', remedy: PUT_BACK },
  'pepper-gone': {
    check: 'files',
    severity: 'error',
    what: 'the pepper of the issued keys is gone',
    remedy: `${PUT_BACK}, or give those keys up: (umask 077; openssl rand -base64 32 > {path})`,
  },
  'api-key-gone': {
    check: 'files',
    severity: 'info',
    what: 'the file of the API key is gone',
    remedy: 'API_KEY=<the key>',
  },
  'folder-open': {
    check: 'files',
    severity: 'warning',
    what: 'others can read or change the database',
    remedy: 'chmod -R go= {path}',
  },
  'folder-shared': {
    check: 'files',
    severity: 'warning',
    what: 'DATA_DIR is a folder of everybody’s',
    remedy: 'DATA_DIR=<a folder of the daemon’s own>',
  },
  'database-gone': {
    check: 'database',
    severity: 'error',
    what: 'the database is gone',
    remedy: `${PUT_BACK}, or begin with an empty one that peers refill: rm {marker}`,
  },
  'identity-in-use': {
    check: 'database',
    severity: 'error',
    what: 'another process runs with this identity',
    remedy: 'BACKEND_URL=<where it answers>, or end it: kill {pid}',
  },
  'writes-refused': {
    check: 'database',
    severity: 'error',
    what: 'the database failed and cannot be opened again',
    remedy: 'restart the daemon, which repairs what is damaged; then agrinet doctor',
  },
  'damaged-copy': {
    check: 'database',
    severity: 'info',
    what: 'a copy from before a repair lies there',
    remedy: 'rm -r {path}',
  },
  'folder-missing': {
    check: 'disk',
    severity: 'warning',
    what: 'DATA_DIR cannot be looked at',
    remedy: 'mkdir -p -m 700 {path}',
  },
  'disk-full': {
    check: 'disk',
    severity: 'error',
    what: 'writes are refused for want of space',
    remedy: 'free space on the disk of {path}: df -h {path}',
  },
  'disk-low': {
    check: 'disk',
    severity: 'warning',
    what: 'little is left until writes are refused',
    remedy: 'free space on the disk of {path}: df -h {path}',
  },
  'disk-filling': {
    check: 'disk',
    severity: 'warning',
    what: 'at the pace of the last day it will not last',
    remedy: 'free space on the disk of {path}: df -h {path}',
  },
  'certificate-unreadable': {
    check: 'tls',
    severity: 'error',
    what: 'the certificate cannot be read',
    remedy: 'TLS_CERT_FILE=<file>',
  },
  'certificate-early': {
    check: 'tls',
    severity: 'error',
    what: 'the certificate is not valid yet',
    remedy: `${RENEW}; or if the clock is wrong: ${NTP}`,
  },
  'certificate-expired': {
    check: 'tls',
    severity: 'error',
    what: 'the certificate has expired',
    remedy: RENEW,
  },
  'certificate-expiring': {
    check: 'tls',
    severity: 'warning',
    what: 'the certificate expires soon',
    remedy: RENEW,
  },
  'certificate-other-name': {
    check: 'tls',
    severity: 'warning',
    what: 'the certificate is made for another host',
    remedy: `PUBLIC_URL=<a name of the certificate>, or ${RENEW}`,
  },
  'clock-impossible': {
    check: 'clock',
    severity: 'warning',
    what: 'this clock reads what cannot be',
    remedy: NTP,
  },
  'clock-set-ahead': {
    check: 'clock',
    severity: 'warning',
    what: 'this clock was set forward',
    remedy: `${NTP}; a right clock is believed after ten minutes`,
  },
  'own-entry-ahead': {
    check: 'clock',
    severity: 'warning',
    what: 'the newest own entry is ahead of this clock',
    remedy: `${NTP}; if the clock is right, the next entry of this node ends this`,
  },
  'own-clock-off': {
    check: 'clock',
    severity: 'warning',
    what: 'all peers’ clocks differ from this one',
    remedy: NTP,
  },
  'own-clock-refused': {
    check: 'clock',
    severity: 'error',
    what: 'the same, by so much that signed requests are refused',
    remedy: NTP,
  },
  'peer-clock-off': {
    check: 'clock',
    severity: 'warning',
    what: 'a peer’s clock differs from this one',
    remedy: `${NTP}, on whichever of the two is wrong`,
  },
  'peer-clock-refused': {
    check: 'clock',
    severity: 'error',
    what: 'the same, by so much that signed requests are refused',
    remedy: `${NTP}, on whichever of the two is wrong`,
  },
  'dht-empty': {
    check: 'dht',
    severity: 'warning',
    what: 'peers are connected and none speaks our DHT',
    remedy: 'MYCELIUM_NETWORK=<the name that the others have>, or MYCELIUM_PEERS=<a node of it>',
  },
  'peer-away': {
    check: 'peers',
    severity: 'warning',
    what: 'a registered node cannot be reached',
    remedy: 'start that node again, or if it is gone for good: agrinet suspend {node}',
  },
  'peer-late': {
    check: 'peers',
    severity: 'info',
    what: 'the same in the first minute',
    remedy: 'start that node again, or if it is gone for good: agrinet suspend {node}',
  },
  'source-wants-key': {
    check: 'peers',
    severity: 'warning',
    what: 'a source refuses us for want of a key',
    remedy: 'agrinet nodes add {url} --key-file <file with the key>; then agrinet sync',
  },
  'node-pending': {
    check: 'registrations',
    severity: 'info',
    what: 'a node waits for the operator’s word',
    remedy: 'agrinet nodes approve {node}, or agrinet nodes revoke {node}',
  },
  'node-suspended': {
    check: 'registrations',
    severity: 'info',
    what: 'a node is suspended',
    remedy: 'agrinet resume {node}',
  },
  'node-revoked': {
    check: 'registrations',
    severity: 'info',
    what: 'a node is revoked',
    remedy: 'agrinet nodes approve {node}',
  },
  'node-newer': { check: 'schema', severity: 'warning', what: 'a node has a newer schema', remedy: REPLACED },
  'ops-newer': { check: 'schema', severity: 'warning', what: 'ops of a newer schema wait', remedy: REPLACED },
  'entries-lacking': {
    check: 'gaps',
    severity: 'warning',
    what: 'a peer shows entries that do not come',
    remedy: 'agrinet sync, once what else is found is mended',
  },
  'feeds-lacking': {
    check: 'gaps',
    severity: 'warning',
    what: 'an author names feeds that nobody brings',
    remedy: 'agrinet import-feed <a file that agrinet export-feed has made where they are>',
  },
  'digest-differs': {
    check: 'digests',
    severity: 'error',
    what: 'equal entries and another state of their records',
    remedy: 'agrinet scrub, here and at {peer}',
  },
  'digests-not-compared': {
    check: 'digests',
    severity: 'info',
    what: 'a peer’s version judges a collection otherwise',
    remedy: 'upgrade whichever of the two is older; nothing is lost meanwhile',
  },
  'feed-stalled': {
    check: 'stalls',
    severity: 'warning',
    what: 'a peer that is there takes no more of a feed of this node',
    remedy:
      'ask the operator of {node} for what agrinet doctor says there: a full disk, a quota, an older version',
  },
  'entries-forgotten': {
    check: 'forgotten',
    severity: 'info',
    what: 'a revoked node’s entries were forgotten here',
    remedy: 'agrinet nodes approve {node}, if they are to come back',
  },
  'author-near-quota': {
    check: 'quotas',
    severity: 'warning',
    what: 'a node’s entries are near what is kept of one',
    remedy: 'agrinet nodes set {node} --quota-mb {mb}',
  },
  'author-many-waiting': {
    check: 'quotas',
    severity: 'warning',
    what: 'as many ops of a node wait as may',
    remedy: 'AUTHOR_QUOTA_PENDING={ops}',
  },
  'rows-mended': {
    check: 'scrub',
    severity: 'warning',
    what: 'stored rows were wrong and were made anew',
    remedy: 'agrinet scrub',
  },
  'entries-damaged': {
    check: 'scrub',
    severity: 'error',
    what: 'stored entries cannot be read',
    remedy: 'agrinet rebuild (while the daemon is stopped)',
  },
  'feed-forked': {
    check: 'forks',
    severity: 'warning',
    what: 'a node has signed two histories',
    remedy: 'agrinet suspend {node}',
  },
  'own-feed-forked': {
    check: 'forks',
    severity: 'error',
    what: 'somebody else signs with this node’s key',
    remedy: 'a new identity: move DATA_DIR away and join anew',
  },
  'ops-pending': {
    check: 'quarantine',
    severity: 'info',
    what: 'ops wait for what has not come yet',
    remedy: 'agrinet sync',
  },
  'ops-pending-long': {
    check: 'quarantine',
    severity: 'warning',
    what: 'the same for more than an hour',
    remedy:
      'agrinet sync; if nobody registered here has what they wait for: agrinet join <a node that has it>',
  },
  'ops-rejected': {
    check: 'quarantine',
    severity: 'info',
    what: 'ops without effect',
    remedy: 'write it again where it is still wanted',
    lasting: 'what was signed stays signed',
  },
  'conflicts-open': {
    check: 'conflicts',
    severity: 'warning',
    what: 'two writers changed a field at once, and this node may settle it',
    remedy: 'agrinet conflicts (and POST /conflicts/<id>/settle with the value that shall stand)',
  },
  'conflicts-elsewhere': {
    check: 'conflicts',
    severity: 'info',
    what: 'the same in records of others',
    remedy: 'agrinet conflicts, at the node of a writer',
  },
  'job-dead': {
    check: 'jobs',
    severity: 'warning',
    what: 'a job is dead',
    remedy: 'agrinet jobs retry {job}',
  },
  'job-wants-key': {
    check: 'jobs',
    severity: 'warning',
    what: 'a sync is dead for want of a key',
    remedy: 'agrinet nodes add {url} --key-file <file with the key>; then agrinet jobs retry {job}',
  },
  'jobs-behind': {
    check: 'jobs',
    severity: 'warning',
    what: 'the queue grows',
    remedy: 'agrinet worker (with REDIS_URL=<a Redis> as many as it takes)',
  },
  'redis-away': {
    check: 'redis',
    severity: 'warning',
    what: 'Redis does not answer',
    remedy: 'systemctl start redis-server',
  },
  'mirror-tables-missing': {
    check: 'mirror',
    severity: 'error',
    what: 'the mirror has no tables',
    remedy: 'agrinet mirror init',
  },
  'mirror-held': {
    check: 'mirror',
    severity: 'error',
    what: 'the tables are another node’s, or have other keys',
    remedy:
      'agrinet mirror init --take-over (from a node that is gone for good), or MIRROR_PREFIX=<one of this node’s own>',
  },
  'mirror-denied': {
    check: 'mirror',
    severity: 'error',
    what: 'DynamoDB refuses the credentials',
    remedy:
      'AWS_ACCESS_KEY_ID=<id> AWS_SECRET_ACCESS_KEY=<secret>, allowed what README.md lists under The mirror',
  },
  'mirror-displaced': {
    check: 'mirror',
    severity: 'error',
    what: 'a newer process holds the tables',
    remedy: 'end the other process; then restart the daemon',
  },
  'mirror-away': {
    check: 'mirror',
    severity: 'warning',
    what: 'DynamoDB does not answer',
    remedy: 'DYNAMODB_ENDPOINT=<where DynamoDB answers>, or wait until it answers there',
  },
  'mirror-behind': {
    check: 'mirror',
    severity: 'warning',
    what: 'items have waited for minutes',
    remedy: 'agrinet mirror status; it goes when DynamoDB takes them, with more write capacity sooner',
  },
  'mirror-items-refused': {
    check: 'mirror',
    severity: 'warning',
    what: 'DynamoDB takes some items not at all',
    remedy: 'agrinet mirror status names them and why: change those records',
  },
  'promises-wait': {
    check: 'rejoin',
    severity: 'warning',
    what: 'promises wait after a loss',
    remedy: 'start the nodes named, or agrinet rejoin --force',
  },
} as const satisfies Record<string, FindingKind>;

const ALARMS = {
  'alarm-own-key-elsewhere': {
    check: 'alarms',
    severity: 'error',
    what: 'another process writes with this node’s key',
    remedy: `end the other process; then ${SEEN}`,
  },
  'alarm-author-over-quota': {
    check: 'alarms',
    severity: 'warning',
    what: 'an author is over its quota',
    remedy: `agrinet nodes set <that node> --quota-mb <MiB>, or agrinet suspend <that node>; then ${SEEN}`,
  },
  'alarm-commit-failed': {
    check: 'alarms',
    severity: 'error',
    what: 'a write did not reach the disk',
    remedy: `see to the disk: df -h, dmesg; then ${SEEN}`,
  },
  'alarm-own-entries-returned': {
    check: 'alarms',
    severity: 'warning',
    what: 'peers gave back own entries that were gone here',
    remedy: `agrinet rejoin shows who has still to answer; then ${SEEN}`,
  },
  'alarm-foreign-certificate': {
    check: 'alarms',
    severity: 'error',
    what: 'a node shows a certificate that its key does not vouch for',
    remedy: `ask its operator; when it has its own again: agrinet sync, then ${SEEN}`,
  },
  'alarm-peer-distrusted': {
    check: 'alarms',
    severity: 'error',
    what: 'a node sent what no honest one can have sent',
    remedy: `agrinet suspend <that node>, until its operator has seen to it; then ${SEEN}`,
  },
  'alarm-listener-failed': {
    check: 'alarms',
    severity: 'error',
    what: 'a part of this node missed something',
    remedy: 'restart the daemon',
  },
  'alarm-record-left-out': {
    check: 'alarms',
    severity: 'error',
    what: 'records that cannot be read or shown are left out of lists',
    remedy: `agrinet scrub; then ${SEEN}`,
  },
  'alarm-merge-outstanding': {
    check: 'alarms',
    severity: 'error',
    what: 'a document is unmerged after several tries: it shows the values of before',
    remedy: 'restart the daemon, on a machine with more memory if this comes again',
  },
  'alarm-tail-lost': {
    check: 'alarms',
    severity: 'warning',
    what: 'the newest commits were gone at the start',
    remedy: `agrinet sync; then ${SEEN}`,
  },
  'alarm-database-damaged': {
    check: 'alarms',
    severity: 'warning',
    what: 'the database was damaged and rebuilt at the start',
    remedy: `agrinet sync; then ${SEEN}`,
  },
} as const satisfies Readonly<Record<AlarmFinding, FindingKind>>;

/** Everything that the doctor can find. */
export const FINDINGS = { ...STATES, ...ALARMS };

export type FindingId = keyof typeof FINDINGS;

/** The alarms that the check of alarms tells of. */
export function alarmFinding(kind: string): keyof typeof ALARMS | undefined {
  const id = `alarm-${kind}`;
  return Object.hasOwn(ALARMS, id) ? (id as keyof typeof ALARMS) : undefined;
}

/** The table of findings for the README, in markdown. */
export function findingsTable(): string {
  const kinds: readonly [string, FindingKind][] = Object.entries(FINDINGS);
  const rows = kinds.map(([id, { check, severity, what, remedy, lasting }]) => {
    const mend = lasting === undefined ? remedy : `${remedy} (it stays: ${lasting})`;
    return `| \`${id}\` | ${check} | ${severity} | ${what} | ${mend.replaceAll('<', '&lt;')} |`;
  });
  return ['| finding | check | severity | what | what mends it |', '|---|---|---|---|---|', ...rows].join(
    '\n',
  );
}
