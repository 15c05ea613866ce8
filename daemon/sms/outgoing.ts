import type { User } from '../../api/ports/users.ts';
import { SMS_LIMITS } from './limits.ts';
import { quietUntil } from './quiet-hours.ts';
import type { Found, Sent } from './twilio.ts';

/** The SMS of a notice, from the batch of the notice until it is known what became of it. Times in milliseconds since 1970. */
export interface OutgoingSms {
  readonly userId: string;
  readonly notificationId: string;
  /** It tells how many notices got no SMS: its text is written when it is sent. */
  readonly isSummary?: true;
  /** As it is sent, with its token. */
  readonly body: string;
  readonly at: number;
  /** How often it was begun, or asked for, in a row. */
  readonly tries: number;
  /** Whom it is being sent to and since when, from before the request until its end is known. */
  readonly sending?: { readonly to: string; readonly since: number };
  /** It may have been sent since this time, before a loss of this node's data: it is looked for by its token, as its words may have changed. */
  readonly maybeSince?: number;
}

/** The action for an SMS that is due. */
export type Step =
  | { readonly do: 'send'; readonly to: string }
  | { readonly do: 'ask'; readonly to: string; readonly since: number }
  | { readonly do: 'wait'; readonly until: number }
  | { readonly do: 'end'; readonly state: End };

/** How it ended; `dropped`: nobody wants it any more, and it was never sent. */
export type End = 'sent' | 'failed' | 'unknown' | 'dropped';

/** The outcome of an attempt. */
export type Outcome = { readonly end: End } | { readonly next: OutgoingSms; readonly due: number };

export function stepOf(sms: OutgoingSms, user: User | undefined, now: number): Step {
  if (sms.sending !== undefined) return { do: 'ask', ...sms.sending };
  if (user?.phone === undefined || user.sms === false) return { do: 'end', state: 'dropped' };
  if (now - sms.at > SMS_LIMITS.staleMs) return { do: 'end', state: 'failed' };
  const until = quietUntil(user.quietHours, now);
  return until === undefined ? { do: 'send', to: user.phone } : { do: 'wait', until };
}

/** One that may have been sent before a loss of data: the provider is asked for it first. */
export function maybeSent(sms: OutgoingSms, to: string, now: number): OutgoingSms {
  return { ...sms, sending: { to, since: now }, maybeSince: sms.maybeSince ?? sms.at };
}

/** The row written before it is sent: one found in this state is looked up, by its text, before it is sent again. */
export function sendingSms(sms: OutgoingSms, body: string, to: string, now: number): OutgoingSms {
  return { ...notSent(sms), body, sending: { to, since: now } };
}

export function afterSending(sms: OutgoingSms, sent: Sent, now: number): Outcome {
  switch (sent.kind) {
    case 'sent':
      return { end: 'sent' };
    case 'refused':
      return { end: 'failed' };
    case 'busy':
    case 'denied':
      return again(notSent(sms), now);
    case 'unclear':
      return again(sms, now);
  }
}

export function afterAsking(sms: OutgoingSms, found: Found, now: number): Outcome {
  const since = sms.sending?.since ?? now;
  switch (found.kind) {
    case 'found':
      return { end: found.failed ? 'failed' : 'sent' };
    case 'absent': {
      const believed = since + SMS_LIMITS.absentMs;
      return now >= believed ? { next: notSent(sms), due: now } : { next: sms, due: believed };
    }
    case 'denied':
    case 'unanswered':
      return now - since > SMS_LIMITS.askMs ? { end: 'unknown' } : again(sms, now);
  }
}

function again(sms: OutgoingSms, now: number): Outcome {
  const tries = sms.tries + 1;
  const waitMs = Math.min(SMS_LIMITS.firstMs * 2 ** Math.min(tries - 1, 20), SMS_LIMITS.longestMs);
  return { next: { ...sms, tries }, due: now + waitMs };
}

function notSent({ userId, notificationId, body, at, tries }: OutgoingSms): OutgoingSms {
  return { userId, notificationId, body, at, tries };
}
