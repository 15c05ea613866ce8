import { createHmac } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { serve } from './loopback-server.ts';

/** What the stand-in does with one request to send. `kept`: the message exists all the same. */
export type Behaviour =
  | { readonly answer: 'well' | 'never, kept' | 'never, not kept' | 'hangs up' }
  /** Takes the message, and says so, only after so many milliseconds. */
  | { readonly answer: 'late'; readonly ms: number }
  | { readonly answer: 'refuses'; readonly status: number; readonly code?: number; readonly kept?: boolean };

/** A message as it was taken. */
export interface TakenSms {
  readonly sid: string;
  readonly to: string;
  readonly from: string;
  readonly body: string;
  readonly at: number;
}

export interface TwilioOptions {
  readonly behave?: (message: { readonly to: string; readonly body: string }, n: number) => Behaviour;
  /** How the list of messages is answered. */
  readonly lists?: () => 'well' | 'never' | number;
  /** Messages on a page, at most. */
  readonly pageSize?: number;
}

const SID = `AC${'7c'.repeat(16)}`;
const TOKEN = 'token-of-the-stand-in';
const NUMBER = '+15005550006';

/**
 * Twilio's API of messages on loopback, as its reference describes it, with what goes wrong on the way: it times out, answers late and
 * hangs up; it lists what it took, newest first, in pages. Messages that come in are posted and signed as Twilio does it.
 */
export async function twilioServer(options: TwilioOptions = {}) {
  const taken: TakenSms[] = [];
  const asked: string[] = [];
  let posts = 0;
  const state = { ...options };
  const server = await serve((request, response) => {
    void bodyOf(request).then((body) => answer(request, response, body));
  });

  function answer(request: IncomingMessage, response: ServerResponse, body: string): void {
    const url = new URL(request.url ?? '/', server.url);
    asked.push(`${request.method} ${url.pathname}${url.search}`);
    const expected = `Basic ${Buffer.from(`${SID}:${TOKEN}`).toString('base64')}`;
    if (request.headers.authorization !== expected) return say(response, 401, { code: 20003 });
    if (url.pathname !== `/2010-04-01/Accounts/${SID}/Messages.json`)
      return say(response, 404, { code: 20404 });
    if (request.method === 'GET') return list(url, response);
    const form = new URLSearchParams(body);
    const message = { to: form.get('To') ?? '', from: form.get('From') ?? '', body: form.get('Body') ?? '' };
    return create(message, response);
  }

  function create(message: Omit<TakenSms, 'sid' | 'at'>, response: ServerResponse): void {
    const take = (): TakenSms => {
      const sid = `SM${String(taken.length).padStart(32, '0')}`;
      const sms = { ...message, sid, at: Date.now() };
      taken.push(sms);
      return sms;
    };
    const behaviour = state.behave?.(message, posts++) ?? { answer: 'well' };
    switch (behaviour.answer) {
      case 'well':
        return say(response, 201, shown(take()));
      case 'never, kept':
        return void take();
      case 'never, not kept':
        return;
      case 'hangs up':
        return void response.destroy();
      case 'late':
        return void setTimeout(() => say(response, 201, shown(take())), behaviour.ms).unref();
      case 'refuses':
        if (behaviour.kept === true) take();
        // Twilio repeats the number in what it says.
        return say(response, behaviour.status, {
          code: behaviour.code,
          message: `The message to ${message.to} was refused`,
          status: behaviour.status,
        });
    }
  }

  function list(url: URL, response: ServerResponse): void {
    const how = state.lists?.() ?? 'well';
    if (how === 'never') return;
    if (typeof how === 'number') return say(response, how, { code: 20500 });
    const to = url.searchParams.get('To');
    const from = url.searchParams.get('From');
    const size = Math.min(Number(url.searchParams.get('PageSize') ?? 50), state.pageSize ?? 1000);
    const page = Number(url.searchParams.get('Page') ?? 0);
    const all = taken.filter((each) => each.to === to && each.from === from).toReversed();
    const next = new URLSearchParams(url.searchParams);
    next.set('Page', String(page + 1));
    say(response, 200, {
      messages: all.slice(page * size, (page + 1) * size).map(shown),
      next_page_uri: (page + 1) * size < all.length ? `${url.pathname}?${next}` : null,
    });
  }

  return {
    taken,
    /** Requests as they came. */
    asked,
    url: server.url,
    /** From now on it does so. */
    become(next: TwilioOptions) {
      Object.assign(state, { behave: undefined, lists: undefined, pageSize: undefined }, next);
    },
    /** The settings that lead a daemon here. */
    settings: {
      TWILIO_ACCOUNT_SID: SID,
      TWILIO_AUTH_TOKEN: TOKEN,
      TWILIO_SMS_NUMBER: NUMBER,
      TWILIO_API_URL: server.url,
    },
    account: { accountSid: SID, authToken: TOKEN, from: NUMBER, url: server.url },
    close: () => server.close(),
  };
}

export type TwilioServer = Awaited<ReturnType<typeof twilioServer>>;

interface PhoneSms {
  readonly from: string;
  readonly body: string;
  readonly sid: string;
}

/** The form of a message from a phone, with the signature that Twilio gives it for a URL. */
export function signedSms(url: string, { from, body, sid }: PhoneSms, token: string = TOKEN) {
  const params: [string, string][] = [
    ['ToCountry', 'KE'],
    ['MessageSid', sid],
    ['From', from],
    ['To', NUMBER],
    ['Body', body],
    ['NumMedia', '0'],
    ['AccountSid', SID],
  ];
  const sorted = params.toSorted(([a], [b]) => (a < b ? -1 : 1));
  const signature = createHmac('sha1', token)
    .update(url + sorted.map((pair) => pair.join('')).join(''))
    .digest('base64');
  return { form: new URLSearchParams(params), signature };
}

/** Posts a message from a phone to a URL, as Twilio does; `signedFor` may be another. */
export async function postSms(
  url: string,
  message: PhoneSms,
  { signedFor = url, token = TOKEN }: { readonly signedFor?: string; readonly token?: string } = {},
): Promise<{ readonly status: number; readonly text: string }> {
  const { form, signature } = signedSms(signedFor, message, token);
  const answer = await fetch(url, {
    method: 'POST',
    headers: { 'x-twilio-signature': signature },
    body: form,
  });
  return { status: answer.status, text: await answer.text() };
}

function shown({ sid, to, from, body, at }: TakenSms) {
  const created = new Date(at).toUTCString();
  return { sid, to, from, body, status: 'queued', date_created: created, date_sent: null, error_code: null };
}

function say(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const part of request.setEncoding('utf8')) text += String(part);
  return text;
}
