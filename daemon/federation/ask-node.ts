import { gunzipSync } from 'node:zlib';
import { AgrinetError } from '../../protocols/errors.ts';
import { isGzip } from '../../protocols/wire/gzip.ts';
import type { GuardedAnswer, GuardedFetch, GuardedRequest } from './guarded-fetch.ts';

/** Small questions to a node: identity, registration. */
const ASK: Pick<GuardedRequest, 'timeoutMs' | 'maxBytes'> = { timeoutMs: 10_000, maxBytes: 64 * 1024 };

/** Certificate rules of one question. */
export type Trust = Pick<GuardedRequest, 'pin' | 'anyCertificate'>;

/** JSON of a response, also from a server that compresses unasked; undefined for anything else. Throws what reading it throws. */
export async function jsonIn(answer: GuardedAnswer): Promise<unknown> {
  const bytes = await answer.bytes();
  try {
    const plain = isGzip(bytes) ? gunzipSync(bytes, { maxOutputLength: ASK.maxBytes }) : bytes;
    return JSON.parse(Buffer.from(plain).toString());
  } catch {
    return undefined; // a page, or what only begins like gzip or unpacks beyond all bounds
  }
}

/** GET, with its status whatever it is. Throws as the guarded fetch does. */
export function ask(fetch: GuardedFetch, url: string, trust: Trust = {}): Promise<GuardedAnswer> {
  return fetch(url, { ...ASK, ...trust, gzip: true });
}

/** POSTs JSON to another node; its response text is never passed on. Throws `join-failed`. */
export async function tell(
  fetch: GuardedFetch,
  url: string,
  body: unknown,
  key: string | undefined,
  trust: Trust,
): Promise<unknown> {
  const answer = await fetch(url, {
    ...ASK,
    ...trust,
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(key === undefined ? {} : { 'x-api-key': key }) },
    body: JSON.stringify(body),
  });
  if (answer.status >= 200 && answer.status < 300) return answer.json();
  const code = await codeOf(answer);
  if ((answer.status === 401 || answer.status === 403) && !REASONS.has(code))
    throw new AgrinetError(
      'join-failed',
      'the other node refused the API key; ask its operator for a new one',
    );
  throw new AgrinetError('join-failed', `the other node answered ${answer.status}${reasonOf(code)}`);
}

/** The code of its refusal, when it is one of those we know how to explain. */
async function codeOf(answer: GuardedAnswer): Promise<string | undefined> {
  const body: unknown = await answer.json().catch(() => undefined); // an old node may answer anything
  return typeof body === 'object' && body !== null && 'code' in body && typeof body.code === 'string'
    ? body.code
    : undefined;
}

const REASONS: ReadonlyMap<string | undefined, string> = new Map([
  ['host-refused', 'it listens on loopback; join it by a loopback URL, or set PUBLIC_URL there'],
  ['address-refused', 'it does not ask nodes at the URL of this one; set PUBLIC_URL here'],
  ['peer-unreachable', 'it does not reach this node at its URL; set PUBLIC_URL here'],
  ['peer-timeout', 'it does not reach this node at its URL; set PUBLIC_URL here'],
  ['proof-invalid', 'at the URL of this node it found another one; set PUBLIC_URL here'],
  [
    'key-used',
    'its key is for another node, or was used as often as it may be; ask its operator for a new one',
  ],
  ['node-suspended', 'its operator has suspended or revoked this node'],
  ['registry-full', 'its registry is full'],
  ['registration-invalid', 'it found this registration invalid; check the clocks of both'],
]);

function reasonOf(code: string | undefined): string {
  const reason = REASONS.get(code);
  return reason === undefined ? '' : `: ${reason}`;
}
