import type { RequestClient } from 'twilio';
import { AgrinetError } from '../../protocols/errors.ts';
import { type JobHandler, textOf } from './job-queue.ts';

export interface SmsSettings {
  readonly twilioAccountSid: string | undefined;
  readonly twilioAuthToken: string | undefined;
  readonly twilioSmsNumber: string | undefined;
}

const PHONE = /^\+[1-9]\d{6,14}$/;
/** Ten segments; longer ones are cut, and can be read whole in the notifications. */
const TEXT_MAX = 1530;
/** The service answers within a second or two; a message that may have left is not to be sent twice for impatience. */
const TWILIO_MS = 15_000;

/** Whether all that Twilio needs is set. */
export function smsEnabled(settings: SmsSettings): boolean {
  const { twilioAccountSid, twilioAuthToken, twilioSmsNumber } = settings;
  return twilioAccountSid !== undefined && twilioAuthToken !== undefined && twilioSmsNumber !== undefined;
}

/**
 * The handler of `sms` jobs, or undefined without credentials. The number goes to Twilio and nowhere else. Twilio knows no idempotency key:
 * a worker that dies between its answer and the report sends the SMS again. `httpClient` is for tests.
 */
export function smsHandler(settings: SmsSettings, httpClient?: RequestClient): JobHandler | undefined {
  const { twilioAccountSid: sid, twilioAuthToken: token, twilioSmsNumber: from } = settings;
  if (sid === undefined || token === undefined || from === undefined) return undefined;
  return async (job) => {
    const to = textOf(job, 'phone');
    const body = textOf(job, 'message');
    if (to === undefined || body === undefined || !PHONE.test(to))
      throw new AgrinetError('sms-malformed', 'an SMS needs a message and a number such as +254700000000');
    const { default: twilio } = await import('twilio'); // large, and rarely needed
    const client = twilio(sid, token, { timeout: TWILIO_MS, ...(httpClient && { httpClient }) });
    try {
      const { sid: messageId } = await client.messages.create({ to, from, body: body.slice(0, TEXT_MAX) });
      return { messageId };
    } catch (error) {
      throw refusal(error);
    }
  };
}

/** Twilio's messages repeat the number: only its status and code are kept. */
function refusal(error: unknown): AgrinetError {
  const status = numberIn(error, 'status');
  const code = numberIn(error, 'code');
  if (status === undefined)
    return new AgrinetError('sms-unreachable', 'Twilio did not answer; the SMS will be retried');
  // Other 4xx than "too many" stay as they are, however often they are asked.
  const final = status >= 400 && status < 500 && status !== 429;
  return new AgrinetError(
    final ? 'sms-refused' : 'sms-unavailable',
    `Twilio refused the SMS with status ${status}${code === undefined ? '' : `, code ${code}: see https://www.twilio.com/docs/api/errors/${code}`}`,
  );
}

function numberIn(error: unknown, name: 'status' | 'code'): number | undefined {
  if (typeof error !== 'object' || error === null) return undefined;
  const value: unknown = Reflect.get(error, name);
  return typeof value === 'number' ? value : undefined;
}
