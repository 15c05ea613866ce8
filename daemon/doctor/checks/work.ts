import { DOCTOR_LIMITS, type OnlineFacts } from '../facts.ts';
import { wantsKey } from './federation.ts';
import { type Finding, finding, firstOf, harmless } from '../finding.ts';
import { alarmFinding } from '../findings.ts';
import { isoTime } from '../../../protocols/wire/iso-time.ts';

/** Ops without effect: rejected ones stay so, and one that is pending for long is missing a dependency. */
export function checkQuarantine({ quarantine, now }: OnlineFacts): Finding[] {
  return firstOf(
    quarantine
      .filter(({ forUpgrade }) => !forUpgrade)
      .map(({ state, code, count, own, oldest }) => {
        const since = oldest === 0 ? '' : `, the oldest from ${isoTime(oldest)}`;
        const subject = harmless(code);
        const about = `(${subject})${own ? ', some of this node’s own' : ''}${since}`;
        if (state === 'rejected')
          return finding('ops-rejected', {
            subject,
            message: `${count} ${count === 1 ? 'op is' : 'ops are'} rejected ${about}`,
          });
        const late = oldest > 0 && now - oldest > DOCTOR_LIMITS.waitingMs;
        const message = `${count} ${count === 1 ? 'op is' : 'ops are'} pending ${about}`;
        return finding(late ? 'ops-pending-long' : 'ops-pending', { subject, message });
      }),
  );
}

/** Values that lost to concurrent ones, in conflicts that nobody has resolved. */
export function checkConflicts({ conflicts }: OnlineFacts): Finding[] {
  const found: Finding[] = [];
  const { own, others } = conflicts;
  const message = (count: number): string =>
    `${count} ${count === 1 ? 'record has' : 'records have'} fields that two writers changed at the same time; the losing values are kept until somebody resolves the conflict`;
  if (own > 0) found.push(finding('conflicts-open', { message: message(own) }));
  if (others > 0)
    found.push(
      finding('conflicts-elsewhere', { message: `${message(others)}; only their writers can do that` }),
    );
  return found;
}

/** Alarms that have not been cleared, each kind once; those that another check reports are left to it. */
export function checkAlarms({ alarms }: OnlineFacts): Finding[] {
  const kinds = Map.groupBy(alarms, ({ kind }) => kind);
  return firstOf(
    [...kinds].flatMap(([kind, raised]) => {
      const id = alarmFinding(kind);
      if (id === undefined) return [];
      const [newest] = raised;
      const times = raised.length === 1 ? '' : `, ${raised.length} times`;
      return [
        finding(id, {
          subject: kind,
          message: `${harmless(newest?.text ?? kind, 300)} (${newest?.at ?? ''}${times})`,
        }),
      ];
    }),
  );
}

/** Dead jobs, and a queue that falls behind. */
export function checkJobs({ jobs, now }: OnlineFacts): Finding[] {
  const { waiting, dead, oldestWaiting, lastDead } = jobs;
  const found: Finding[] = [];
  if (dead > 0) {
    const job = lastDead?.id ?? '<id>';
    const subject = lastDead?.id ?? 'dead';
    const newest = lastDead === undefined ? '' : `; the newest: ${harmless(lastDead.error, 200)}`;
    const message = `${dead} ${dead === 1 ? 'job is' : 'jobs are'} dead${newest}`;
    // Without a key, a retry would be refused again.
    found.push(
      lastDead?.source !== undefined && wantsKey(lastDead.code)
        ? finding('job-wants-key', {
            subject,
            message,
            values: { job, url: harmless(lastDead.source.replace(/^legacy:/, ''), 2048) },
          })
        : finding('job-dead', { subject, message, values: { job } }),
    );
  }
  const late = oldestWaiting !== undefined && now - oldestWaiting > DOCTOR_LIMITS.backlogMs;
  if (waiting > DOCTOR_LIMITS.backlog || late) {
    const since = oldestWaiting === undefined ? '' : `, the oldest since ${isoTime(oldestWaiting)}`;
    found.push(
      finding('jobs-behind', {
        subject: 'backlog',
        message: `${waiting} jobs are waiting (with REDIS_URL, more agrinet workers clear them sooner)${since}`,
      }),
    );
  }
  return found;
}

/** Jobs wait on disk while Redis is away. */
export function checkRedis({ jobs }: OnlineFacts): Finding[] {
  return jobs.queue.ok ? [] : [finding('redis-away', { message: harmless(jobs.queue.detail, 200) })];
}

/** States in which the mirror writes nothing. */
const MIRROR_TROUBLE = {
  'tables-missing': 'mirror-tables-missing',
  refused: 'mirror-held',
  denied: 'mirror-denied',
  displaced: 'mirror-displaced',
} as const;

/** What stops the mirror, its lag, and the items that its tables do not accept. */
export function checkMirror({ mirror }: OnlineFacts): Finding[] {
  if (mirror === undefined) return [];
  const { state, detail = '', pending, lagSeconds, refused } = mirror;
  const subject = harmless(state);
  const found: Finding[] = [];
  if (detail !== '') {
    const id = Object.entries(MIRROR_TROUBLE).find(([each]) => each === state)?.[1] ?? 'mirror-away';
    found.push(finding(id, { subject, message: `the mirror is ${subject}: ${harmless(detail, 200)}` }));
  }
  if (lagSeconds > DOCTOR_LIMITS.mirrorLagSeconds) {
    const message = `${pending} items are waiting for the mirror’s tables, the oldest for ${Math.round(lagSeconds)} s`;
    found.push(finding('mirror-behind', { subject, message }));
  }
  if (refused > 0) {
    const message = `the mirror’s tables rejected ${refused} ${refused === 1 ? 'item' : 'items'}`;
    found.push(finding('mirror-items-refused', { subject, message }));
  }
  return found;
}

/** What the current pass of the scrub and the one before it found. */
export function checkScrub({ scrub: { current, last } }: OnlineFacts): Finding[] {
  return [current, last].flatMap((pass): Finding[] => {
    if (pass === undefined) return [];
    const tables = Object.entries(pass.wrong).map(([table, rows]) => `${rows} in ${table}`);
    if (tables.length === 0) return [];
    const what = `stored rows did not match the feeds: ${tables.join(', ')} in the scrub started at ${isoTime(pass.startedAt)}`;
    return [
      pass.beyond > 0
        ? finding('entries-damaged', {
            message: `${what}; ${pass.beyond} could not be rebuilt, because entries cannot be read`,
          })
        : finding('rows-repaired', {
            message: `${what}; all were rebuilt. The disk or the memory of this machine may be failing`,
          }),
    ];
  });
}
