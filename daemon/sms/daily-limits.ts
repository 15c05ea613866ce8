import type { SmsState } from '../../api/ports/users.ts';
import { SMS_LIMITS } from './limits.ts';

/** How many SMS a user is sent in a day. */
export interface DailyLimits {
  readonly perUser: number;
  /** Of them those that one other node causes; beyond these as many of the user's deals. */
  readonly perNode: number;
}

/** Of what a user is sent, all other nodes together cause at most one in so many, but for the user's deals. */
const STRANGERS_PART = 2;

type ByNode = Readonly<Partial<Record<string, number>>>;

/** What a user was sent on a day that began with its first SMS. Times in milliseconds since 1970. */
export interface DailyCount {
  readonly since: number;
  readonly sent: number;
  /** Of them those that each other node has caused, but for those below. */
  readonly byNode: ByNode;
  /** Those of the user's deals that were sent although these limits of strangers were reached. */
  readonly ofDeals?: ByNode;
  /** When the last summary was or becomes due. */
  readonly summaryAt?: number;
}

/** An SMS that is wanted: when it would be sent, and which other node causes it; undefined for this one. */
export interface WantedSms {
  readonly due: number;
  readonly otherNode: string | undefined;
  /** Of a deal of the user's: beyond what strangers may cause. */
  readonly isOfDeal?: boolean;
}

export interface Counted {
  readonly state: SmsState;
  readonly count: DailyCount;
}

/** A summary that is about to be written may no longer include what arrives now. */
const SUMMARY_LEAD_MS = 60_000;

/**
 * Whether an SMS is sent, and the count after it. The own node's users are bound by the limit of the user alone; strangers leave a
 * share of it to them and to the user's deals.
 */
export function counted(
  before: DailyCount | undefined,
  { due, otherNode, isOfDeal = false }: WantedSms,
  { perUser, perNode }: DailyLimits,
): Counted {
  const count = ofDay(before, due);
  const kind = isOfDeal ? 'ofDeals' : 'byNode';
  const ofNode = otherNode === undefined ? 0 : (count[kind]?.[otherNode] ?? 0);
  if (otherNode !== undefined && ofNode >= perNode) return { state: 'node-limit', count };
  if (count.sent >= perUser) return { state: 'daily-limit', count };
  const sent = { ...count, sent: count.sent + 1 };
  if (otherNode === undefined) return { state: 'queued', count: sent };
  if (!isOfDeal && sum(count.byNode) >= Math.floor(perUser / STRANGERS_PART))
    return { state: 'stranger-limit', count };
  return { state: 'queued', count: { ...sent, [kind]: { ...count[kind], [otherNode]: ofNode + 1 } } };
}

function sum(byNode: ByNode): number {
  return Object.values(byNode).reduce<number>((all, each = 0) => all + each, 0);
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
