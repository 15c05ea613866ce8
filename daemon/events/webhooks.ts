import { createHash, createHmac } from 'node:crypto';
import type { Env, Timer } from '../../protocols/env.ts';
import { AgrinetError } from '../../protocols/errors.ts';
import type { EventLogName, EventSubscription, EventWish, DeliverableEvent } from '../../api/ports/events.ts';
import type { JsonObject } from '../../api/ports/jobs.ts';
import type { PreviousSecret } from '../secrets.ts';
import { isoTime } from '../../protocols/wire/iso-time.ts';

export interface WebhookOptions {
  /** FEDERATION_WEBHOOK_URLS: the operator's own setting, so private addresses are his choice. */
  readonly urls: readonly string[];
  /** NOTICE_WEBHOOK_URLS: where notices of users are posted. */
  readonly noticeUrls?: readonly string[];
  /** FEDERATION_WEBHOOK_SECRET; without it nothing is posted. */
  readonly secret: string | undefined;
  /** FEDERATION_WEBHOOK_SECRET_PREVIOUS, which signs beside it in its grace time. */
  readonly previous?: PreviousSecret | undefined;
  /** Peer id of this node, sent to receivers. */
  readonly node: string;
  readonly env: Pick<Env, 'now' | 'after' | 'deadline'>;
  readonly timeoutMs?: number;
  readonly warn: (message: string, fields: Record<string, unknown>) => void;
}

/** Queues a delivery; the key keeps one job per event and address. */
export type AddWebhookJob = (
  name: 'webhook',
  data: JsonObject,
  options: { readonly key: string },
) => Promise<unknown>;

/** How long a receiver may take for its whole answer. */
const TIMEOUT_MS = 10_000;
/** Events that wait for a queue that takes none. */
const MOST_WAITING = 1000;
/** Until such a queue is asked again: what fails is a disk or Redis, and neither is back within a second. */
const AGAIN_MS = 5000;

/** Whether an event is posted: none for a single user or from a conversation. The receivers are the operator's own. */
export function isPosted({ id, type, audience }: DeliverableEvent): boolean {
  if (id === undefined || audience?.userId !== undefined || audience?.conversation !== undefined)
    return false;
  return type.startsWith('federation.') || type === 'notification' || type === 'conflict';
}

/** `t=<unix seconds>,v1=<hex HMAC-SHA256 over "t.body">`, with another `v1` for the secret before while that is still good. */
function signWebhook(
  { secret, previous }: { readonly secret: string; readonly previous: PreviousSecret | undefined },
  now: number,
  body: string,
): string {
  const seconds = Math.floor(now / 1000);
  const secrets = previous === undefined || now >= previous.until ? [secret] : [secret, previous.secret];
  const signatures = secrets.map((each) =>
    createHmac('sha256', each).update(`${seconds}.${body}`).digest('hex'),
  );
  return [`t=${seconds}`, ...signatures.map((each) => `v1=${each}`)].join(',');
}

/**
 * How jobs name an address: by what it is, not by its place in a list, which the operator may put in another order while jobs wait. A hash,
 * as its path can be a secret and jobs are listed.
 */
export function addressOf(url: string): string {
  return createHash('sha256').update(url).digest('hex').slice(0, 32);
}

/** Makes a job of each event that goes out, for each address. Warns once for each list of addresses that has no secret. */
export function startWebhooks(
  options: WebhookOptions,
  events: {
    subscribe(
      wish: Pick<EventWish, 'logs' | 'wants'>,
      push: (event: DeliverableEvent, log?: EventLogName) => undefined,
    ): EventSubscription;
  },
  addJob: AddWebhookJob,
): EventSubscription {
  const { urls, secret, warn, env } = options;
  warnWithoutSecret(options);
  if (urls.length === 0 || secret === undefined) return { close: () => undefined };
  const addresses = new Set(urls.map(addressOf));
  const waiting: { to: string; id: number | string; event: DeliverableEvent; time: number }[] = [];
  let adding = false;
  let timer: Timer | undefined;
  let closed = false;

  async function addAll(): Promise<void> {
    if (adding || closed) return;
    adding = true;
    try {
      for (let next = waiting[0]; next !== undefined && !closed; next = waiting[0]) {
        const { to, id, event, time } = next;
        const told = { id, type: event.type, time, data: { ...event.data } };
        await addJob('webhook', { to, event: told }, { key: `webhook:${to}:${id}` });
        if (waiting[0] === next) waiting.shift();
      }
    } catch (error) {
      warn('a webhook was not queued yet', { err: error, waiting: waiting.length });
      timer = env.after(AGAIN_MS, () => void addAll());
    } finally {
      adding = false;
    }
  }

  const subscription = events.subscribe({ logs: ['public', 'private'], wants: isPosted }, (event, log) => {
    // Each log has numbers of its own.
    const id = log === 'private' ? `p${event.id ?? 0}` : (event.id ?? 0);
    for (const to of addresses) waiting.push({ to, id, event, time: env.now() });
    const over = waiting.length - MOST_WAITING;
    if (over > 0) {
      waiting.splice(0, over);
      warn('webhooks dropped: the job queue accepts none', { count: over });
    }
    void addAll();
    return undefined;
  });
  return {
    close() {
      closed = true;
      timer?.cancel();
      subscription.close();
    },
  };
}

function warnWithoutSecret({ urls, noticeUrls = [], secret, warn }: WebhookOptions): void {
  if (secret !== undefined) return;
  const lists = { FEDERATION_WEBHOOK_URLS: urls, NOTICE_WEBHOOK_URLS: noticeUrls };
  for (const [setting, { length }] of Object.entries(lists))
    if (length > 0)
      warn('no webhooks: set FEDERATION_WEBHOOK_SECRET, which signs them', { setting, urls: length });
}

/**
 * The handler of `webhook` jobs. A job whose address is no longer configured is dropped. Throws `webhook-refused` (not 2xx;
 * redirects count as that) and `webhook-unreachable`, so that the job is retried. The receiver's response is not repeated.
 */
export function createWebhookHandler({
  urls,
  noticeUrls = [],
  secret,
  previous,
  node,
  env,
  warn,
  timeoutMs = TIMEOUT_MS,
}: WebhookOptions) {
  const events = new Map(urls.map((url) => [addressOf(url), url]));
  const notices = new Map(noticeUrls.map((url) => [addressOf(url), url]));
  return async (
    job: { readonly id: string; readonly data: JsonObject },
    run: { readonly signal: AbortSignal },
  ): Promise<JsonObject> => {
    const { to: address, event, of } = job.data;
    const known = of === 'notices' ? notices : events;
    const url = typeof address === 'string' ? known.get(address) : undefined;
    if (url === undefined || secret === undefined || !isEvent(event)) {
      warn('a webhook is dropped: its address, or the secret, is no longer set', { job: job.id });
      return { skipped: 'this address, or the secret, is no longer set' };
    }
    const time = isoTime(event.time);
    const body = JSON.stringify({ id: event.id, type: event.type, time, data: event.data, node });
    const status = await post(url, body, {
      'x-agrinet-signature': signWebhook({ secret, previous }, env.now(), body),
      'x-agrinet-event': event.type,
      'x-agrinet-delivery': job.id,
    });
    if (status < 200 || status > 299)
      throw new AgrinetError('webhook-refused', `${new URL(url).origin} answered ${status}`);
    return { status };

    async function post(to: string, content: string, headers: Record<string, string>): Promise<number> {
      try {
        const answer = await fetch(to, {
          method: 'POST',
          redirect: 'manual',
          headers: { 'content-type': 'application/json', 'user-agent': 'agrinetd', ...headers },
          body: content,
          signal: AbortSignal.any([run.signal, env.deadline(timeoutMs)]),
        });
        await answer.body?.cancel();
        return answer.status;
      } catch (error) {
        throw new AgrinetError('webhook-unreachable', `${new URL(to).origin} did not answer`, {
          cause: error,
        });
      }
    }
  };
}

interface PostedEvent {
  readonly id: number | string;
  readonly type: string;
  readonly time: number;
  readonly data: unknown;
}

function isEvent(value: unknown): value is PostedEvent {
  if (typeof value !== 'object' || value === null) return false;
  if (!('id' in value && 'type' in value && 'time' in value && 'data' in value)) return false;
  const isId = typeof value.id === 'number' || typeof value.id === 'string';
  return isId && typeof value.type === 'string' && typeof value.time === 'number';
}
