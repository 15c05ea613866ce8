import type { SmsState } from '../../api/ports/users.ts';
import { SMS_LIMITS } from './limits.ts';

/** How many SMS a user is sent in a day. */
export interface DailyLimits {
  readonly perUser: number;
  /** Of them those that one other node causes. */
  readonly perNode: number;
}

/** What a user was sent on a day that began with its first SMS. Times in milliseconds since 1970. */
export interface DailyCount {
  readonly since: number;
  readonly sent: number;
  /** Of them those that each other node has caused. */
  readonly byNode: Readonly<Partial<Record<string, number>>>;
  /** When the last summary was or becomes due. */
  readonly summaryAt?: number;
}

/** An SMS that is wanted: when it would be sent, and which other node causes it; undefined for this one. */
export interface WantedSms {
  readonly due: number;
  readonly otherNode: string | undefined;
}

export interface Counted {
  readonly state: SmsState;
  readonly count: DailyCount;
}

/** A summary that is about to be written may no longer include what arrives now. */
const SUMMARY_LEAD_MS = 60_000;

/** Whether an SMS is sent, and the count after it. The own node's users are bound by the limit of the user alone. */
export function counted(
  before: DailyCount | undefined,
  { due, otherNode }: WantedSms,
  { perUser, perNode }: DailyLimits,
): Counted {
  const count = ofDay(before, due);
  const ofNode = otherNode === undefined ? 0 : (count.byNode[otherNode] ?? 0);
  if (otherNode !== undefined && ofNode >= perNode) return { state: 'node-limit', count };
  if (count.sent >= perUser) return { state: 'daily-limit', count };
  const byNode = otherNode === undefined ? count.byNode : { ...count.byNode, [otherNode]: ofNode + 1 };
  return { state: 'queued', count: { ...count, sent: count.sent + 1, byNode } };
}

/** When a summary has to be sent for a notice that gets no SMS; undefined where one is due that will include it. */
export function nextSummary({ summaryAt }: DailyCount, now: number): number | undefined {
  const soon = now + SMS_LIMITS.summaryMs;
  // One that lies further ahead was planned by a clock that has been set back since.
  if (summaryAt === undefined || summaryAt > now + 2 * SMS_LIMITS.dayMs) return soon;
  return now < summaryAt - SUMMARY_LEAD_MS ? undefined : Math.max(soon, summaryAt + SMS_LIMITS.dayMs);
}

/** The count of the day that a time belongs to: the one that runs, in either direction should the clock be set, or a new one. */
function ofDay(before: DailyCount | undefined, due: number): DailyCount {
  if (before !== undefined && Math.abs(due - before.since) < SMS_LIMITS.dayMs) return before;
  const planned = before?.summaryAt === undefined ? {} : { summaryAt: before.summaryAt };
  return { since: due, sent: 0, byNode: {}, ...planned };
}
