import { AgrinetError } from '../protocols/errors.ts';
import { isPrivateHost } from './addresses.ts';

const TIMEOUT_MS = 10_000;
const MAX_ANSWER = 64 * 1024;

/** The origin of a URL an operator wrote; throws `fields-invalid` for what is no URL or leads to a private address without leave. */
export function allowedOrigin(url: string, allowPrivate: boolean): string {
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch (error) {
    throw new AgrinetError('fields-invalid', `url: ${url} is not a URL`, { cause: error });
  }
  const { protocol, hostname, username } = parsed;
  if ((protocol !== 'http:' && protocol !== 'https:') || username !== '')
    throw new AgrinetError('fields-invalid', 'url: http(s)://host[:port]');
  if (isPrivateHost(hostname) && !allowPrivate)
    throw new AgrinetError(
      'fields-invalid',
      `url: ${hostname} is a private address; set ALLOW_PRIVATE_PEERS=on to allow it`,
    );
  return parsed.origin;
}

/** One request to a node that the operator named: no redirects, bounded in time and size; its words never come through. */
export async function askNode(url: string, body: unknown, key: string | undefined): Promise<unknown> {
  let response: Response;
  try {
    response = await fetch(url, {
      method: body === undefined ? 'GET' : 'POST',
      headers: {
        accept: 'application/json',
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(key === undefined ? {} : { 'x-api-key': key }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      redirect: 'error',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
  } catch (error) {
    throw new AgrinetError('join-failed', `${new URL(url).origin} does not answer`, { cause: error });
  }
  if (response.status === 401 || response.status === 403)
    throw new AgrinetError('join-failed', 'the other node refused the API key');
  if (!response.ok) throw new AgrinetError('join-failed', `the other node answered ${response.status}`);
  const text = await bounded(response);
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new AgrinetError('join-failed', 'the answer is not JSON; is it an agrinetd?', { cause: error });
  }
}

async function bounded(response: Response): Promise<string> {
  let text = '';
  const decoder = new TextDecoder();
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk, { stream: true });
    if (text.length > MAX_ANSWER) throw new AgrinetError('join-failed', 'the answer is too long');
  }
  return text;
}
