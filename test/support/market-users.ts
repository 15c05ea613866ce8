import type { Daemon } from './daemon.ts';
import { UnexpectedStatus } from './wait.ts';

/** A user of a daemon, with a key of its own. */
export interface MarketUser {
  readonly name: string;
  readonly daemon: Daemon;
  readonly key: string;
  /** A request of the user's own. */
  request(method: string, path: string, body?: unknown): Promise<Response>;
  /** Its answer; throws for anything but 2xx. */
  json<T>(method: string, path: string, body?: unknown): Promise<T>;
}

/** What a line of `GET /notifications` says of a notice. */
export interface NoticeLine {
  readonly userId: string;
  readonly notificationId: string;
  readonly message: string;
  readonly kind?: string;
  readonly about?: Readonly<Record<string, string>>;
  readonly language?: string;
  readonly unreviewed?: boolean;
  readonly sms?: string;
  readonly possibleRepeat?: boolean;
}

export async function marketUser(daemon: Daemon, name: string): Promise<MarketUser> {
  const { key } = await daemon.json<{ key: string }>('POST', '/api/keys', { userId: name });
  return userWith(daemon, name, key);
}

/** A user who has a key, at a daemon that knows it. */
export function userWith(daemon: Daemon, name: string, key: string): MarketUser {
  const request: MarketUser['request'] = (method, path, body) =>
    fetch(daemon.url + path, {
      method,
      headers: { 'x-api-key': key, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  return {
    name,
    daemon,
    key,
    request,
    async json<T>(method: string, path: string, body?: unknown) {
      const answer = await request(method, path, body);
      const text = await answer.text();
      if (!answer.ok) throw new UnexpectedStatus(`${method} ${path}`, answer.status, text);
      return JSON.parse(text) as T;
    },
  };
}

/** All lines of a user, newest first. */
export async function linesOf(user: MarketUser): Promise<NoticeLine[]> {
  const lines: NoticeLine[] = [];
  let cursor = '';
  do {
    const page = await user.json<{ notifications: NoticeLine[]; cursor?: string }>(
      'GET',
      `/notifications?limit=500${cursor === '' ? '' : `&cursor=${cursor}`}`,
    );
    lines.push(...page.notifications);
    cursor = page.cursor ?? '';
  } while (cursor !== '');
  return lines;
}
