import type { Bench } from './bench.ts';
import type { AllCases } from './case.ts';
import { BACKUP_CASES, SNAPSHOT_CASES } from './backup-cases.ts';
import { DIFF_CASES, DOCTOR_CASES, TREND_CASES } from './doctor-cases.ts';
import { MIRROR_CASES } from './mirror-cases.ts';
import { ENDED_JOBS, EVENT_CASES, KEY_CASES, METRICS_CASES, SSE_HEARTBEAT } from './node-cases.ts';
import { NOTE_CASES } from './note-cases.ts';
import { WAITING_CASES } from './notice-cases.ts';
import { ANSWER_CASES } from './answer-cases.ts';
import { SMS_CASES } from './sms-cases.ts';
import { IMPORT_CASES, LEGACY_AHEAD, PULL_CASES } from './source-cases.ts';

const SERVER_TEST = 'test/unit/limits/http-server.test.ts';
const SSE_TEST = 'test/unit/events/sse.test.ts';
const EVENTS_TEST = 'test/unit/events/event-log.test.ts';
const KEYS_TEST = 'test/unit/access/key-ring.test.ts';
const WANTS_TEST = 'test/unit/wants/want-book.test.ts';
const TABLE_TEST = 'test/unit/limits/idempotency.test.ts';
const BACKUP_TEST = 'test/unit/backup/backup-file.test.ts';

const LISTING = { type: 'offer', status: 'active', title: 'Maize' };

/** A listing as JSON of exactly so many bytes, spaces included. */
function jsonOf(bytes: number): string {
  const text = JSON.stringify(LISTING);
  return text.slice(0, -1) + ' '.repeat(bytes - text.length) + '}';
}

/** A listing with a value that is so many arrays and objects deep, the listing itself included. */
function deepJson(depth: number): string {
  return `{"type":"offer","title":"Maize","images":${'['.repeat(depth - 1)}${']'.repeat(depth - 1)}}`;
}

/** A listing of so many values, itself and its fields included: more pictures than it may have. */
function manyJson(values: number): string {
  return `{"type":"offer","title":"Maize","images":[${'1,'.repeat(values - 5)}1]}`;
}

/** Peer ids, one after another, and commas up to so many characters. */
function rootsOf(bench: Bench, characters: number): string {
  const one = `${bench.peer.peerId},`;
  return one.repeat(Math.floor(characters / one.length)).padEnd(characters, ',');
}

/** A request whose target, and names and values of headers, have so many bytes; the status of its answer. */
async function headOf(bench: Bench, bytes: number): Promise<string> {
  const counted = '/health' + 'Host' + 'a' + 'Connection' + 'close' + 'X-Long';
  const before = 'GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Long: ';
  const answer = await bench.raw(`${before}${'x'.repeat(bytes - counted.length)}\r\n\r\n`);
  return answer.slice('HTTP/1.1 '.length, 'HTTP/1.1 '.length + 3);
}

/** So many requests before the first is answered: how many are answered. */
async function pipelined(bench: Bench, count: number): Promise<number> {
  const one = 'GET /ready HTTP/1.1\r\nHost: a\r\n\r\n';
  const last = 'GET /ready HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';
  return (await bench.raw(one.repeat(count - 1) + last)).split('HTTP/1.1 200').length - 1;
}

/** A message of so many bytes: what a schema would refuse stands in a field that is passed over. */
function messageOf(bytes: number): string {
  const start = '{"from":"u","content":"x","other":"';
  return `${start}${'x'.repeat(bytes - start.length - 2)}"}`;
}

/** What clients send and operators ask for, over HTTP and in files. */
export const HTTP_CASES = {
  'daemon/http-server.ts': {
    maxHeaderBytes: { over: 'HTTP', send: headOf, gives: ['200', '200', '431'] },
    headersMs: { shownBy: [SERVER_TEST, 'closes who says nothing, half a head, or a head without end'] },
    stalledMs: {
      shownBy: [SERVER_TEST, 'ends a body that stopped coming with 408, also one sent in chunks'],
    },
    keepAliveMs: { shownBy: [SERVER_TEST, 'keeps idle connections for their time, then closes them'] },
    connections: { shownBy: [SERVER_TEST, 'caps the connections of one address and of all'] },
    perAddress: { shownBy: [SERVER_TEST, 'caps the connections of one address and of all'] },
    perLoopback: { shownBy: [SERVER_TEST, 'caps the connections of one address and of all'] },
    pipelined: { over: 'HTTP', send: pipelined, gives: [63, 64, 0] },
  },
  'api/limits/body.ts': {
    maxBytes: {
      over: 'HTTP',
      send: (bench, n) => bench.ask('POST', '/listings', jsonOf(n)),
      gives: ['201', '201', '413 body-too-large'],
    },
    messageBytes: {
      over: 'HTTP',
      send: (bench, n) => bench.ask('POST', '/messages/nowhere', messageOf(n)),
      gives: ['404 not-found', '404 not-found', '413 body-too-large'],
    },
    maxDepth: {
      over: 'HTTP',
      send: (bench, n) => bench.ask('POST', '/listings', deepJson(n)),
      gives: ['201', '201', '400 body-too-deep'],
    },
    maxValues: {
      over: 'HTTP',
      send: (bench, n) => bench.ask('POST', '/listings', manyJson(n)),
      gives: ['400 fields-invalid', '400 fields-invalid', '413 body-too-large'],
    },
    timeoutMs: { shownBy: ['test/unit/limits/body.test.ts', 'waits for a body only so long'] },
  },
  'storage/idempotency-table.ts': {
    keptMs: { shownBy: [TABLE_TEST, 'forgets after a day'] },
    rows: { shownBy: [TABLE_TEST, 'is bounded in rows and bytes, the oldest go, also of an earlier run'] },
    bytes: { shownBy: [TABLE_TEST, 'is bounded in rows and bytes, the oldest go, also of an earlier run'] },
    rowsPerCaller: { shownBy: [TABLE_TEST, 'takes from who floods it, not from others'] },
    bytesPerCaller: { shownBy: [TABLE_TEST, 'takes from who floods it, not from others'] },
  },
  'daemon/access/key-rules.ts': {
    activePerUser: {
      over: 'HTTP',
      send: async (bench, n) => {
        const userId = `user-${n}`;
        const answers = [];
        for (let i = 0; i < n; i++)
          answers.push(await bench.ask('POST', '/api/keys', JSON.stringify({ userId })));
        return answers.at(-1);
      },
      gives: ['201', '201', '400 key-limit'],
    },
    gracePerUser: {
      shownBy: [
        KEYS_TEST,
        'does not multiply keys: seven old ones stay valid at most, and ended ones are cleared',
      ],
    },
    ...KEY_CASES,
    total: { shownBy: [KEYS_TEST, '10,000 in all: ended ones give way, living ones do not'] },
    maxLifetimeMs: {
      over: 'HTTP',
      // Asked for in seconds.
      sizes: [366 * 86_400 - 1, 366 * 86_400, 366 * 86_400 + 1],
      send: (bench, n) =>
        bench.ask('POST', '/api/keys', JSON.stringify({ userId: `long-${n}`, expiresIn: n })),
      gives: ['201', '201', '400 fields-invalid'],
    },
    keptMs: {
      shownBy: [KEYS_TEST, 'the cleaner takes what ended more than 30 days ago, and tells how many'],
    },
    uses: {
      over: 'HTTP',
      send: (bench, n) =>
        bench.ask(
          'POST',
          '/api/keys',
          JSON.stringify({ userId: `uses-${n}`, scopes: ['register'], uses: n }),
        ),
      gives: ['201', '201', '400 fields-invalid'],
    },
  },
  'daemon/users/directory.ts': {
    entered: {
      shownBy: [
        'test/unit/users/directory.test.ts',
        '10,000 users can be entered; those who are can still be changed, and one who goes makes room',
      ],
    },
  },
  'daemon/wants/want-book.ts': {
    ofUser: {
      shownBy: [
        WANTS_TEST,
        'a user has 50 wants; one that is deleted or has ended makes room, and is gone from the disk',
      ],
    },
    ofNode: { shownBy: [WANTS_TEST, 'a node has 10,000 wants of all its users'] },
    toldADay: {
      shownBy: [
        'test/unit/wants/want-follower.test.ts',
        'a user is told of 1000 listings in a day, and then once that there are more',
      ],
    },
  },
  'api/routes/trust.ts': {
    rootsCharacters: {
      over: 'HTTP',
      send: (bench, n) => bench.ask('GET', `/trust/${bench.self.peerId}?roots=${rootsOf(bench, n)}`),
      gives: ['200', '200', '400 query-invalid'],
    },
  },
  'api/sse.ts': {
    perKey: {
      shownBy: [
        SSE_TEST,
        'caps streams per key and in total, frees them when the client is gone, ends them when the node stops',
      ],
    },
    total: {
      shownBy: [
        SSE_TEST,
        'caps streams per key and in total, frees them when the client is gone, ends them when the node stops',
      ],
    },
  },
  'api/sse-stream.ts': {
    queueEvents: { shownBy: [SSE_TEST, 'closes who does not read when his queue is full'] },
    queueBytes: { shownBy: [SSE_TEST, 'closes who does not read when his queue is full'] },
    heartbeatMs: SSE_HEARTBEAT,
    stalledMs: { shownBy: [SSE_TEST, 'closes who takes nothing for a time, with room left in his queue'] },
  },
  'daemon/events/event-log.ts': {
    ring: { shownBy: [EVENTS_TEST, 'keeps the newest on disk, and tells who comes too late to begin anew'] },
    ...EVENT_CASES,
    unwritten: {
      shownBy: [EVENTS_TEST, 'goes on telling when the disk does not write, and writes when it does'],
    },
    eventChars: {
      shownBy: [
        EVENTS_TEST,
        'neither throws nor tells what is too large or cannot be JSON; one bad listener harms nobody',
      ],
    },
  },
  'protocols/wire/steady.ts': {
    graceMs: { shownBy: ['test/unit/wire/steady.test.ts', 'one below, at and one above the grace'] },
    bytesPerSecond: { shownBy: ['test/unit/wire/steady.test.ts', 'one below, at and one above the pace'] },
  },
  'daemon/federation/https-transport.ts': {
    ...PULL_CASES,
    batchBytes: {
      shownBy: ['test/unit/exchange/entry-limit.test.ts', 'over HTTPS, by the daemon itself and by a worker'],
    },
  },
  'daemon/federation/legacy-import.ts': IMPORT_CASES,
  'protocols/market/legacy.ts': {
    itemCharacters: {
      shownBy: [
        'test/unit/exchange/legacy-stream.test.ts',
        'passes over what is too large or too deep, and goes on',
      ],
    },
    depth: {
      shownBy: [
        'test/unit/exchange/legacy-stream.test.ts',
        'passes over what is too large or too deep, and goes on',
      ],
    },
    aheadMs: LEGACY_AHEAD,
  },
  'daemon/jobs/job-store.ts': {
    live: {
      shownBy: [
        'test/unit/jobs/acceptance.ts',
        'is bounded: refuses more than it may hold, and forgets the oldest that are completed',
      ],
    },
    ...ENDED_JOBS,
    leaseMs: {
      shownBy: [
        'test/unit/jobs/routes.test.ts',
        'gives a job whose worker is silent to another, and takes nothing from the first any more',
      ],
    },
  },
  'daemon/notices/waiting-steps.ts': WAITING_CASES,
  'daemon/sms/limits.ts': SMS_CASES,
  'daemon/sms/answer-codes.ts': ANSWER_CASES,
  'daemon/metrics/metrics-table.ts': {
    peers: { shownBy: ['test/unit/metrics/metrics.test.ts', 'stay few whatever callers and peers send'] },
    ...METRICS_CASES,
    series: { shownBy: ['test/unit/metrics/metrics.test.ts', 'stay few whatever callers and peers send'] },
  },
  'daemon/doctor/facts.ts': DOCTOR_CASES,
  'daemon/doctor/disk-trend.ts': TREND_CASES,
  'daemon/doctor/diff-limits.ts': DIFF_CASES,
  'daemon/backup/backups.ts': SNAPSHOT_CASES,
  'storage/backup/format.ts': {
    valueBytes: {
      shownBy: [BACKUP_TEST, 'takes a value of the largest size, and refuses to write a larger one'],
    },
    inflatedBytes: {
      shownBy: [BACKUP_TEST, 'is refused when it inflates beyond its limit, with little memory'],
    },
    blockBytes: { shownBy: [BACKUP_TEST, 'is refused when a block says that it is huge, before it is read'] },
    ...BACKUP_CASES,
  },
  'protocols/market/deal-note/verify.ts': NOTE_CASES,
  'storage/mirror/limits.ts': MIRROR_CASES,
} satisfies Partial<AllCases>;
