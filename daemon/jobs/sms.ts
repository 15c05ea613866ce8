import { type Env, pause } from '../../protocols/env.ts';
import { AgrinetError } from '../../protocols/errors.ts';
import { gsmText } from '../sms/gsm7.ts';
import { SMS_LIMITS } from '../sms/limits.ts';
import { smsToken } from '../sms/sms-text.ts';
import type { TwilioAccount } from '../sms/account.ts';
import { type Sent, type SmsProvider, Twilio } from '../sms/twilio.ts';
import { type JobHandler, textOf } from './job-queue.ts';

const PHONE = /^\+[1-9]\d{6,14}$/;
/** Ten segments; longer ones are cut, and can be read whole in the notifications. */
const TEXT_MAX = 1520;

/** The handler of `sms` jobs. The number goes to Twilio and nowhere else. */
export function smsHandler(account: TwilioAccount, env: Pick<Env, 'after' | 'deadline'>): JobHandler {
  return sendingJob(new Twilio(account, env), env);
}

/**
 * Sends at most once: on a repeated attempt nobody knows how far the previous one came, so the provider is asked for the message by
 * its token, for long enough that it would show.
 */
export function sendingJob(provider: SmsProvider, env: Pick<Env, 'after'>): JobHandler {
  return async (job, { signal }) => {
    const to = textOf(job, 'phone');
    const text = textOf(job, 'message');
    if (to === undefined || text === undefined || !PHONE.test(to))
      throw new AgrinetError('sms-malformed', 'an SMS needs a message and a number such as +254700000000');
    const body = `${gsmText(text).slice(0, TEXT_MAX).toWellFormed()} ${smsToken(job.id)}`;
    if (job.attempts > 1) {
      const message = { to, body, since: job.createdAt };
      for (const waitMs of [0, SMS_LIMITS.absentMs]) {
        if (waitMs > 0) await pause(env, waitMs, signal);
        const messageId = await sentBefore(provider, message, signal);
        if (messageId !== undefined) return { messageId };
      }
    }
    const sent = await provider.send({ to, body }, signal);
    if (sent.kind === 'sent') return { messageId: sent.id };
    throw refusal(sent);
  };
}

/** The id of the message, where the provider has it. Throws `sms-unreachable` where that is unknown. */
async function sentBefore(
  provider: SmsProvider,
  message: { readonly to: string; readonly body: string; readonly since: number },
  signal: AbortSignal,
): Promise<string | undefined> {
  const found = await provider.find(message, signal);
  if (found.kind === 'found') return found.id;
  if (found.kind === 'absent' && !signal.aborted) return undefined;
  throw new AgrinetError(
    'sms-unreachable',
    'Twilio did not say whether it has the SMS already; it is not sent before that is known',
  );
}

/** Twilio's messages repeat the number: only its status and code are kept. */
function refusal(sent: Exclude<Sent, { readonly kind: 'sent' }>): AgrinetError {
  switch (sent.kind) {
    case 'unclear':
      return new AgrinetError(
        'sms-unreachable',
        'Twilio did not say that it took the SMS; it will be asked before the SMS is sent again',
      );
    case 'busy':
      return new AgrinetError('sms-unavailable', 'Twilio takes no more SMS now; the SMS will be retried');
    case 'refused':
    case 'denied':
      return new AgrinetError(
        'sms-refused',
        `Twilio refused the SMS with status ${sent.status}${codeText(sent.code)}`,
      );
  }
}

/** Where the code of a refusal is explained. */
export function codeText(code: number | undefined): string {
  return code === undefined ? '' : `, code ${code}: see https://www.twilio.com/docs/api/errors/${code}`;
}
