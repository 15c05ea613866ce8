import { DOCTOR_LIMITS, type OnlineFacts } from '../facts.ts';
import { keyMend } from './federation.ts';
import { CHECK_ALL, type Finding, firstOf, harmless } from '../finding.ts';
import { isoTime } from '../../../protocols/wire/iso-time.ts';

/** Ops without effect. Void ones of others are their matter; what waits for long lacks something. */
export function checkQuarantine({ quarantine, now }: OnlineFacts): Finding[] {
  return firstOf(
    quarantine
      .filter(({ forUpgrade }) => !forUpgrade)
      .map(({ state, code, count, own, oldest }) => {
        const late = state === 'waits' && oldest > 0 && now - oldest > DOCTOR_LIMITS.waitingMs;
        const since = oldest === 0 ? '' : `, the oldest of ${isoTime(oldest)}`;
        const verb =
          state === 'waits'
            ? count === 1
              ? 'op waits'
              : 'ops wait'
            : count === 1
              ? 'op is void'
              : 'ops are void';
        return {
          check: 'quarantine',
          severity: late || (own && state === 'void') ? 'warning' : 'info',
          subject: code,
          message: `${count} ${verb} (${harmless(code)})${own ? ', some of this node’s own' : ''}${since}`,
          mend: state === 'waits' ? 'agrinet doctor --diff <a peer>' : CHECK_ALL,
        };
      }),
  );
}

/** Values that lost to others at the same moment, and that nobody has settled. */
export function checkConflicts({ conflicts }: OnlineFacts): Finding[] {
  if (conflicts === 0) return [];
  const what = conflicts === 1 ? 'record has' : 'records have';
  return [
    {
      check: 'conflicts',
      severity: 'warning',
      message: `${conflicts} ${what} fields that two writers changed at once; the losing values stay until somebody settles them`,
      mend: 'agrinet conflicts (and POST /conflicts/<id>/settle with the value that shall stand)',
    },
  ];
}

/** Of these alarms the words are those of another check. */
const TOLD_ELSEWHERE: ReadonlySet<string> = new Set([
  'feed-forked',
  'own-feed-forked',
  'rows-mended',
  'entries-damaged',
]);
/** What peers fill in by themselves. */
const MENDED: ReadonlySet<string> = new Set(['tail-lost', 'own-entries-returned', 'database-damaged']);

/** Alarms since the start of the process, each kind once. */
export function checkAlarms({ alarms }: OnlineFacts): Finding[] {
  const kinds = Map.groupBy(
    alarms.filter(({ kind }) => !TOLD_ELSEWHERE.has(kind)),
    ({ kind }) => kind,
  );
  return firstOf(
    [...kinds].map(([kind, raised]) => {
      const [newest] = raised;
      const times = raised.length === 1 ? '' : `, ${raised.length} times`;
      return {
        check: 'alarms',
        severity: MENDED.has(kind) ? 'warning' : 'error',
        subject: kind,
        message: `${harmless(newest?.text ?? kind, 300)} (${newest?.at ?? ''}${times}; told until the next start)`,
        mend: ALARM_MENDS[kind] ?? CHECK_ALL,
      };
    }),
  );
}

const ALARM_MENDS: Readonly<Record<string, string>> = {
  'own-key-elsewhere': 'agrinet identity',
  'own-entries-returned': 'agrinet digest',
  'foreign-certificate': 'agrinet nodes',
  'author-over-quota': 'agrinet nodes set <node> --quota-mb <MiB>',
  'disk-filling': 'agrinet nodes',
};

/** Jobs that nobody does. */
export function checkJobs({ jobs, now }: OnlineFacts): Finding[] {
  const { waiting, dead, oldestWaiting, lastDead } = jobs;
  const found: Finding[] = [];
  if (dead > 0)
    found.push({
      check: 'jobs',
      severity: 'warning',
      subject: lastDead?.id ?? 'dead',
      message: `${dead} ${dead === 1 ? 'job is' : 'jobs are'} dead${lastDead === undefined ? '' : `; the newest: ${harmless(lastDead.error, 200)}`}`,
      // Once more without a key it would be refused once more.
      mend: keyMend(lastDead?.source, lastDead?.code) ?? `agrinet jobs retry ${lastDead?.id ?? '<id>'}`,
    });
  const late = oldestWaiting !== undefined && now - oldestWaiting > DOCTOR_LIMITS.backlogMs;
  if (waiting > DOCTOR_LIMITS.backlog || late)
    found.push({
      check: 'jobs',
      severity: 'warning',
      subject: 'backlog',
      message: `${waiting} jobs wait (with REDIS_URL another agrinet worker does them sooner)${oldestWaiting === undefined ? '' : `, the oldest since ${isoTime(oldestWaiting)}`}`,
      mend: 'agrinet jobs',
    });
  return found;
}

/** Jobs wait on disk while Redis is away. */
export function checkRedis({ jobs }: OnlineFacts): Finding[] {
  if (jobs.queue.ok) return [];
  return [
    {
      check: 'redis',
      severity: 'warning',
      message: harmless(jobs.queue.detail, 200),
      mend: 'systemctl status redis-server',
    },
  ];
}

/** The mirror's lag, and what its tables cannot take. */
export function checkMirror({ mirror }: OnlineFacts): Finding[] {
  if (mirror === undefined) return [];
  const found: Finding[] = [];
  const add = (severity: Finding['severity'], message: string, mend: string): void =>
    void found.push({ check: 'mirror', severity, subject: harmless(mirror.state), message, mend });
  if (mirror.detail !== undefined && mirror.detail !== '')
    add(
      'warning',
      `the mirror is ${harmless(mirror.state)}: ${harmless(mirror.detail, 200)}`,
      'agrinet mirror status',
    );
  if (mirror.lagSeconds > DOCTOR_LIMITS.mirrorLagSeconds)
    add(
      'warning',
      `${mirror.pending} items wait for the mirror’s tables, the oldest since ${Math.round(mirror.lagSeconds)} s`,
      'agrinet mirror status',
    );
  if (mirror.refused > 0)
    add('warning', `${mirror.refused} items are refused by the mirror’s tables`, 'agrinet mirror verify');
  return found;
}

/** What the pass under way and the one before it found. */
export function checkScrub({ scrub: { current, last } }: OnlineFacts): Finding[] {
  return [current, last].flatMap((pass): Finding[] => {
    if (pass === undefined) return [];
    const tables = Object.entries(pass.wrong).map(([table, rows]) => `${rows} in ${table}`);
    if (tables.length === 0) return [];
    const what = `stored rows were not what the feeds say: ${tables.join(', ')}`;
    const since = `in the scrub of ${isoTime(pass.startedAt)}`;
    return [
      pass.beyond > 0
        ? {
            check: 'scrub',
            severity: 'error',
            message: `${what} ${since}; ${pass.beyond} could not be made anew, because entries cannot be read`,
            mend: 'agrinet rebuild (while the daemon is stopped)',
          }
        : {
            check: 'scrub',
            severity: 'warning',
            message: `${what} ${since}; all were made anew. The disk or the memory of this machine may be failing`,
            mend: 'agrinet scrub',
          },
    ];
  });
}
