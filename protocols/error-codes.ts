/** Statuses that a refusal can have. */
type Status = 400 | 401 | 403 | 404 | 405 | 408 | 409 | 413 | 415 | 422 | 429 | 431 | 500 | 502 | 503 | 507;

/** All that is ever decided by a code. No decision reads its text. */
export interface ErrorRow {
  /** What an HTTP client gets; 500 is an error of this node, and is not explained. */
  readonly http: Status;
  /** `reject`: no honest node can have sent or relayed it. `ignore`: it depends on the receiver's own registry, clock, disk, or on what it holds. */
  readonly peer: 'reject' | 'ignore';
  /** Whether the very same request may succeed later, because the obstacle is not in the request. */
  readonly retry: boolean;
}

type Traits = Partial<Omit<ErrorRow, 'http'>>;

/** The request is wrong, or conflicts with the current state. */
const refused = (http: Status, traits: Traits = {}): ErrorRow => ({
  http,
  peer: 'ignore',
  retry: false,
  ...traits,
});
/** Another moment may be better. */
const later = (http: Status): ErrorRow => refused(http, { retry: true });
/** Not for HTTP clients: of this node, its machine, its command line or a stream. */
const inner = (traits: Traits = {}): ErrorRow => refused(500, traits);
/** Bytes that no honest node sends or relays; a further request may get a better answer. */
const senders = (http: Status = 500, retry = true): ErrorRow => refused(http, { peer: 'reject', retry });

/**
 * Every code of thrown errors and of outcomes for entries: one without a row does not compile. `protocols/README.md` 16.3 explains
 * those of the wire, `api/README.md` those for HTTP clients.
 */
export const ERROR_CODES = {
  // An error in the request.
  'address-refused': later(400), // the name it is looked up by may lead elsewhere tomorrow
  'body-malformed': refused(400),
  'body-too-deep': refused(400),
  'coordinates-malformed': refused(400),
  'export-differs': later(400),
  'export-malformed': later(400),
  'fence-malformed': refused(400),
  'fields-invalid': refused(400),
  'id-invalid': refused(400),
  'idempotency-malformed': refused(400),
  'key-invalid': refused(400),
  'key-limit': refused(400),
  'key-malformed': refused(400),
  'query-invalid': refused(400),
  'rating-score': refused(400),
  'reason-required': refused(400),
  'registration-invalid': refused(400),
  'registration-self': refused(400),
  'request-malformed': refused(400),
  'listings.header': refused(400),
  'wfp.header': refused(400),
  'body-too-large': refused(413),
  'digest-too-large': refused(413),
  'headers-too-large': refused(431),
  'media-unsupported': refused(415),
  'idempotency-mismatch': refused(422),

  // The caller may not, or what it asks for is not there.
  'token-invalid': refused(401),
  forbidden: refused(403),
  'host-refused': refused(403),
  'key-used': refused(403),
  'not-a-party': refused(403),
  'form-stale': refused(403),
  'origin-refused': refused(403),
  'sign-in-insecure': refused(403),
  'sign-in-link-used': refused(403),
  'request-unsigned': refused(403),
  unauthorized: refused(403),
  'key-unknown': refused(404),
  'user-unknown': refused(404),
  'node-unknown': refused(404),
  'not-found': refused(404),
  'source-unknown': later(404), // until it is registered
  'method-refused': refused(405),

  // Conflicts with the current state.
  'accept-own': refused(409),
  'checkpoint-incomplete': later(409),
  'checkpoint-refused': later(409),
  'attempt-over': refused(409),
  'backup-busy': later(409),
  'contract-full': refused(409),
  'contract-state': refused(409),
  'contract-unsettled': refused(409),
  'hold-endless': refused(409),
  'hold-not-over': later(409),
  'idempotency-busy': later(409),
  'idempotency-done': refused(409),
  'job-claimed': refused(409),
  'job-ended': refused(409),
  'job-not-dead': refused(409),
  'job-not-due': later(409),
  'key-inactive': refused(409),
  'keys-full': refused(409),
  'users-full': refused(409),
  'wants-full': refused(409),
  'listing-differs': refused(409),
  'listing-ended': refused(409),
  'listing-moved': refused(409),
  'listing-exists': refused(409),
  'listing-without-seller': refused(409),
  'mirror-busy': later(409),
  'mirror-filling': later(409),
  'mirror-off': refused(409),
  'mirror-table-missing': refused(409),
  'node-state': refused(409),
  'node-suspended': refused(409),
  'not-supplier': refused(409),
  'party-unknown': refused(409),
  'proposal-expired': refused(409),
  'proposal-unknown': later(409), // it may not have come yet
  'proposal-unnamed': refused(409),
  'quantity-granted': refused(409),
  'record-ended': refused(409),
  'registration-replayed': refused(409),
  'registry-full': refused(409),
  'schema-newer': later(409),
  'sms-off': refused(409),
  'sms-replayed': refused(409),
  'stock-short': later(409),
  'terms-changed': refused(409),
  'terms-conflict': refused(409),
  'terms-full': refused(409),
  'terms-incomplete': refused(409),

  // Too much, too slow, or this node cannot now.
  'body-slow': later(408),
  'headers-slow': later(408),
  'rate-limited': later(429),
  'too-many-streams': later(429),
  'attachment-unavailable': later(503),
  busy: later(503),
  'clock-wrong': later(503),
  'jobs-full': later(503),
  'mirror-away': later(503),
  'mirror-denied': later(503),
  'mirror-throttled': later(503),
  'program-changed': later(503),
  'record-merging': later(503),
  rejoining: later(503),
  'storage-failed': later(503),
  'database-damaged': later(503), // a start repairs it
  stopping: later(503),
  'streams-full': later(503),
  'token-unverifiable': later(503),
  'attachments-full': later(507),
  'disk-full': later(507),

  // Another node's error, or missing answer, while this one asked it on behalf of a caller.
  'answer-malformed': later(502),
  'answer-too-large': later(502),
  'certificate-changed': later(502),
  'certificate-foreign': later(502),
  'identity-absent': later(502),
  'join-failed': later(502),
  'peer-distrusted': later(502),
  'peer-redirects': later(502),
  'peer-refused': later(502),
  'peer-timeout': later(502),
  'peer-unreachable': later(502),
  'prefix-malformed': later(502),
  'proof-invalid': later(502),
  'source-key-needed': refused(502), // only the operator can fix it
  'source-key-refused': refused(502),
  'stream-truncated': later(502), // whoever sent it was stopped

  // Entries, proofs, erasures and messages: the sender is to blame, whichever way they come.
  'attachment-differs': senders(),
  'attachment-malformed': senders(),
  'body-mismatch': senders(),
  'channel-private': senders(),
  'entry-malformed': senders(),
  'entry-too-large': senders(),
  'envelope-malformed': senders(),
  'checkpoint-foreign': senders(),
  'checkpoint-malformed': senders(),
  'chunk-malformed': senders(),
  'erasure-foreign': senders(),
  'erasure-malformed': senders(),
  'erasure-mismatch': senders(),
  'evidence-kept': senders(409, false),
  'fork-malformed': senders(),
  'frame-malformed': senders(),
  'frame-too-long': senders(),
  'frontier-malformed': senders(502),
  'header-malformed': senders(),
  'header-version': senders(),
  'message-malformed': senders(),
  'network-wrong': senders(),
  'not-asked-for': senders(400),
  'not-canonical': senders(),
  'peer-sent-invalid': senders(400),
  'range-malformed': senders(),
  'rotation-malformed': senders(),
  'signature-invalid': senders(),
  'snapshot-differs': senders(),
  'snapshot-malformed': senders(),

  // Entries that depend on what the receiver holds and whom it follows.
  'author-not-registered': inner(),
  'author-over-quota': inner(),
  'author-too-costly': inner({ retry: true }),
  'behind-rejected': inner(),
  'checkpoint-contested': inner({ retry: true }),
  'checkpoint-false': inner(),
  'beyond-cut': inner(),
  'copy-differs': inner(),
  'epochs-exceeded': inner({ retry: true }),
  'for-another-node': inner(),
  forked: inner(),
  'forks-exceeded': inner({ retry: true }),
  'ops-erased': inner(),

  // Streams and discovery.
  'answer-slow': inner({ retry: true }),
  'gossip-lost': inner({ retry: true }),
  'handshake-slow': inner({ retry: true }),
  'no-address': inner({ retry: true }),
  'no-slot': inner({ retry: true }),
  'not-a-participant': inner(),
  'not-registered': inner(),
  'peer-silent': inner({ retry: true }),
  'peers-malformed': inner(),
  'ping-mismatch': inner({ retry: true }),
  'pull-slow': inner({ retry: true }),
  readmitted: inner(),
  'slot-given-on': inner({ retry: true }),
  'snapshot-unavailable': inner({ retry: true }),
  'stream-aborted': inner({ retry: true }),
  'stream-closed': inner({ retry: true }),
  'stream-timeout': inner({ retry: true }),
  'too-many-connections': inner({ retry: true }),

  // Statements and documents that cannot be read; inside they become a refusal or a verdict.
  'change-checksum': inner(),
  'change-compressed': inner(),
  'change-malformed': inner(),
  'change-not-canonical': inner(),
  'change-too-large': inner(),
  'change-too-many-ops': inner(),
  'change-unsupported': inner(),
  'collection-unknown': inner(),
  'gzip-damaged': inner({ retry: true }),
  'gzip-too-large': inner({ retry: true }),
  'merge-deadline': inner({ retry: true }),
  'merge-failed': inner({ retry: true }),
  'reading-failed': inner({ retry: true }),
  'other-contract': inner(),
  'settle-role': inner(),
  'record-partial': inner(), // within the ledger: the record is read whole
  'subject-malformed': inner(),
  'transition-invalid': inner(),

  // The mirror, as its operator sees it in alarms.
  'mirror-differs': inner(),
  'mirror-displaced': inner(),
  'mirror-held': inner({ retry: true }),
  'mirror-item-refused': inner(),
  'mirror-keys': inner(),

  // Jobs and their workers.
  'daemon-refused': inner({ retry: true }),
  'daemon-unreachable': inner({ retry: true }),
  'job-malformed': inner({ retry: true }),
  'job-timeout': inner({ retry: true }),
  'job-unhandled': inner({ retry: true }),
  'notification-malformed': inner(),
  'redis-away': inner({ retry: true }),
  'request-refused': inner({ retry: true }),
  'sms-malformed': inner(),
  'sms-refused': inner(),
  'sms-unavailable': inner({ retry: true }),
  'sms-unreachable': inner({ retry: true }),
  'webhook-refused': inner({ retry: true }),
  'webhook-unreachable': inner({ retry: true }),

  // The process, its folder and the command line; most of them have an exit code (daemon/exit-codes.ts).
  aborted: inner({ retry: true }), // what the caller gave up
  'api-key-invalid': inner(),
  'audit-broken': inner(),
  'backup-damaged': inner(),
  'backup-foreign': inner(),
  'backup-newer': inner(),
  'backup-stalled': inner({ retry: true }),
  'backup-too-large': inner(),
  'daemon-not-running': inner({ retry: true }),
  'database-locked': inner(),
  'database-missing': inner(),
  'database-newer': inner(),
  'demo.import': inner(),
  'demo.interrupted': inner(),
  'demo.node': inner(),
  'demo.over': inner(),
  'feed-file-damaged': inner(),
  'folder-not-empty': inner(),
  'folder-unwritable': inner(),
  'identity-invalid': inner(),
  internal: inner({ retry: true }),
  'key-pepper-invalid': inner(),
  'not-converged': inner(),
  'output-failed': inner(),
  'passphrase-wrong': inner(),
  'port-busy': inner({ retry: true }),
  'restore-unfinished': inner(),
  'settings-invalid': inner(),
  'source-keys-invalid': inner(),
  'stop-late': inner(),
  'tls-invalid': inner(),
  'note-altered': inner(),
  'trends-differ': inner(),
  unhealthy: inner(),
  usage: inner(),
  'value-damaged': inner(),
} satisfies Readonly<Record<string, ErrorRow>>;

export type ErrorCode = keyof typeof ERROR_CODES;

/** Whether this version knows a code: another node, or a newer daemon, may have others. */
export function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(ERROR_CODES, code);
}

/** Whether the code of an error or a verdict is the fault of the sender; for an unknown code it is not. */
export function isSendersFault(code: string): boolean {
  return isErrorCode(code) && ERROR_CODES[code].peer === 'reject';
}

/** Whether the very same may succeed when it is tried again. */
export function mayRetry(code: ErrorCode): boolean {
  return ERROR_CODES[code].retry;
}

/** The codes that HTTP clients meet, for `api/README.md`, in markdown. */
export function errorCodeTable(): string {
  const rows = Object.entries(ERROR_CODES)
    .filter(([code, { http }]) => http !== 500 || code === 'internal')
    .sort(([one, a], [other, b]) => a.http - b.http || (one < other ? -1 : 1))
    .map(([code, { http, retry }]) => `| ${http} | \`${code}\` | ${retry ? 'yes' : ''} |`);
  return ['| status | code | a retry may succeed |', '|---|---|---|', ...rows].join('\n');
}
