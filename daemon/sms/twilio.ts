import { z } from 'zod';
import type { Env } from '../../protocols/env.ts';
import type { TwilioAccount } from './account.ts';
import { SMS_LIMITS } from './limits.ts';
import { endsWithToken } from './sms-text.ts';
import { parsedJson } from '../../protocols/wire/json.ts';

/** The outcome for a message that was sent. `unclear`: it may have arrived all the same. */
export type Sent =
  | { readonly kind: 'sent'; readonly id: string }
  | { readonly kind: 'refused' | 'denied'; readonly status: number; readonly code?: number | undefined }
  | { readonly kind: 'busy' }
  | { readonly kind: 'unclear' };

/** The provider's state of a message. `unanswered`: it does not say. */
export type Found =
  | { readonly kind: 'found'; readonly id: string; readonly failed: boolean }
  | { readonly kind: 'absent' }
  | { readonly kind: 'denied'; readonly status: number; readonly code?: number | undefined }
  | { readonly kind: 'unanswered' };

export interface SmsProvider {
  /** Never throws. */
  send(message: { readonly to: string; readonly body: string }, signal: AbortSignal): Promise<Sent>;
  /** Looks for a message to a number that was sent after a time, milliseconds since 1970, by its text. Never throws. */
  find(
    message: { readonly to: string; readonly body: string; readonly since: number },
    signal: AbortSignal,
  ): Promise<Found>;
}

/** "Authenticate", and an account that is suspended or closed. */
const DENIED_CODES: ReadonlySet<number> = new Set([20003, 20005, 20006]);
const FAILED: ReadonlySet<string> = new Set(['failed', 'undelivered', 'canceled']);
/** Maximum difference between our clock and the provider's, milliseconds. */
const CLOCKS_MS = 600_000;
const PAGE_SIZE = '100';

const Created = z.object({ sid: z.string().min(1) });
const Refusal = z.object({ code: z.number().optional() });
const Listed = z.object({
  messages: z.array(
    z.object({
      sid: z.string().min(1),
      body: z.string().nullish(),
      status: z.string().optional(),
      // RFC 2822
      date_created: z.string(),
    }),
  ),
  next_page_uri: z.string().nullish(),
});
type Page = z.infer<typeof Listed>;

/** Twilio as this node uses it: https://www.twilio.com/docs/messaging/api/message-resource */
export class Twilio implements SmsProvider {
  readonly #account: TwilioAccount;
  readonly #env: Pick<Env, 'deadline'>;
  readonly #path: string;

  constructor(account: TwilioAccount, env: Pick<Env, 'deadline'>) {
    this.#account = account;
    this.#env = env;
    this.#path = `/2010-04-01/Accounts/${account.accountSid}/Messages.json`;
  }

  async send(
    { to, body }: { readonly to: string; readonly body: string },
    signal: AbortSignal,
  ): Promise<Sent> {
    const form = new URLSearchParams({ To: to, From: this.#account.from, Body: body });
    const answer = await this.#ask(this.#path, signal, form);
    if (answer === undefined || answer.status >= 500) return { kind: 'unclear' };
    const { status, value } = answer;
    if (status === 429) return { kind: 'busy' };
    if (status >= 400) {
      const code = Refusal.safeParse(value).data?.code;
      return { kind: isDenied(status, code) ? 'denied' : 'refused', status, code };
    }
    // Something answered well that cannot be read: whether it was sent is asked later.
    const created = Created.safeParse(value);
    return created.success ? { kind: 'sent', id: created.data.sid } : { kind: 'unclear' };
  }

  /**
   * Messages are listed newest first. They are not asked for by the date that they were sent: one that waits at the provider has none yet.
   */
  async find(
    { to, body, since }: { readonly to: string; readonly body: string; readonly since: number },
    signal: AbortSignal,
  ): Promise<Found> {
    const query = new URLSearchParams({ To: to, From: this.#account.from, PageSize: PAGE_SIZE });
    let path = `${this.#path}?${query}`;
    for (let pages = 0; pages < SMS_LIMITS.pages; pages++) {
      const answer = await this.#ask(path, signal);
      if (answer === undefined) return { kind: 'unanswered' };
      if (answer.status >= 400) {
        const code = Refusal.safeParse(answer.value).data?.code;
        return isDenied(answer.status, code)
          ? { kind: 'denied', status: answer.status, code }
          : { kind: 'unanswered' };
      }
      const page = Listed.safeParse(answer.value);
      if (!page.success) return { kind: 'unanswered' };
      const found = inPage(page.data, body, since - CLOCKS_MS);
      if (found !== undefined) return found;
      const next = page.data.next_page_uri ?? '';
      if (next === '') return { kind: 'absent' };
      // Only the next page of the same list, at the same host: the credentials are sent with it.
      if (!next.startsWith(`${this.#path}?`)) return { kind: 'unanswered' };
      path = next;
    }
    return { kind: 'unanswered' };
  }

  /** Status and JSON of a response; undefined without one. It may contain a number, so it is passed on to nobody. */
  async #ask(
    path: string,
    signal: AbortSignal,
    form?: URLSearchParams,
  ): Promise<{ readonly status: number; readonly value: unknown } | undefined> {
    const { accountSid, authToken, url } = this.#account;
    const credentials = Buffer.from(`${accountSid}:${authToken}`).toString('base64');
    try {
      const answer = await fetch(url + path, {
        method: form === undefined ? 'GET' : 'POST',
        redirect: 'error',
        headers: { authorization: `Basic ${credentials}`, accept: 'application/json' },
        ...(form === undefined ? {} : { body: form }),
        signal: AbortSignal.any([signal, this.#env.deadline(SMS_LIMITS.requestMs)]),
      });
      return { status: answer.status, value: parsedJson(await answer.text()) };
    } catch {
      return undefined; // whoever asked goes by that there was no answer
    }
  }
}

/** The message, `absent` where the list goes beyond its time, undefined where the next page is needed. */
function inPage({ messages }: Page, body: string, after: number): Found | undefined {
  for (const message of messages) {
    if (Date.parse(message.date_created) < after) return { kind: 'absent' };
    const said = message.body ?? '';
    // A trial account puts a text of its own in front.
    if (said.endsWith(body))
      return { kind: 'found', id: message.sid, failed: FAILED.has(message.status ?? '') };
    // An account that stores no texts, or another sender than this node: it may be this one.
    if (!endsWithToken(said)) return { kind: 'unanswered' };
  }
  return undefined;
}

function isDenied(status: number, code: number | undefined): boolean {
  return status === 401 || (code !== undefined && DENIED_CODES.has(code));
}
