import type { ContentfulStatusCode } from 'hono/utils/http-status';
import { HTTPException } from 'hono/http-exception';
import { AgrinetError } from '../protocols/errors.ts';

/** HTTP status of an error code; what is not listed is our own fault and stays unexplained. */
const STATUS: Readonly<Record<string, ContentfulStatusCode>> = {
  'address-refused': 400,
  'body-malformed': 400,
  'body-too-deep': 400,
  'coordinates-malformed': 400,
  'export-differs': 400,
  'export-malformed': 400,
  'fence-malformed': 400,
  'fields-invalid': 400,
  'id-invalid': 400,
  'idempotency-malformed': 400,
  'key-invalid': 400,
  'key-limit': 400,
  'key-malformed': 400,
  'not-asked-for': 400,
  'peer-sent-invalid': 400,
  'query-invalid': 400,
  'rating-score': 400,
  'registration-invalid': 400,
  'registration-self': 400,
  'wfp.header': 400,
  'token-invalid': 401,
  forbidden: 403,
  'host-refused': 403,
  'key-used': 403,
  'not-a-party': 403,
  'origin-refused': 403,
  'request-unsigned': 403,
  unauthorized: 403,
  'key-unknown': 404,
  'node-unknown': 404,
  'not-found': 404,
  'source-unknown': 404,
  'body-slow': 408,
  'attempt-over': 409,
  'backup-busy': 409,
  'idempotency-busy': 409,
  'idempotency-done': 409,
  'job-claimed': 409,
  'job-ended': 409,
  'job-not-dead': 409,
  'job-not-due': 409,
  'key-inactive': 409,
  'keys-full': 409,
  'listing-exists': 409,
  'node-state': 409,
  'node-suspended': 409,
  'party-unknown': 409,
  'record-ended': 409,
  'registration-replayed': 409,
  'registry-full': 409,
  'evidence-kept': 409,
  'schema-newer': 409,
  'accept-own': 409,
  'contract-full': 409,
  'contract-state': 409,
  'contract-unsettled': 409,
  'hold-endless': 409,
  'hold-not-over': 409,
  'listing-ended': 409,
  'listing-without-seller': 409,
  'not-supplier': 409,
  'proposal-expired': 409,
  'proposal-unknown': 409,
  'proposal-unnamed': 409,
  'quantity-granted': 409,
  'stock-short': 409,
  'mirror-busy': 409,
  'mirror-filling': 409,
  'mirror-off': 409,
  'mirror-table-missing': 409,
  'terms-changed': 409,
  'terms-conflict': 409,
  'terms-full': 409,
  'body-too-large': 413,
  'digest-too-large': 413,
  'media-unsupported': 415,
  'idempotency-mismatch': 422,
  'rate-limited': 429,
  'too-many-streams': 429,
  // What another node did wrong, or did not do, while this one asked it for a caller.
  'answer-malformed': 502,
  'answer-too-large': 502,
  'certificate-changed': 502,
  'certificate-foreign': 502,
  'frontier-malformed': 502,
  'identity-absent': 502,
  'join-failed': 502,
  'peer-distrusted': 502,
  'peer-redirects': 502,
  'peer-refused': 502,
  'peer-timeout': 502,
  'peer-unreachable': 502,
  'source-key-needed': 502,
  'source-key-refused': 502,
  'prefix-malformed': 502,
  'proof-invalid': 502,
  busy: 503,
  'record-merging': 503,
  'clock-wrong': 503,
  'jobs-full': 503,
  rejoining: 503,
  'mirror-away': 503,
  'mirror-denied': 503,
  'mirror-throttled': 503,
  'storage-failed': 503,
  stopping: 503,
  'streams-full': 503,
  'token-unverifiable': 503,
  'disk-full': 507,
};

/** Every code that a refusal can have: what counts refusals by code has so many places and no more. */
export const REFUSAL_CODES: ReadonlySet<string> = new Set([...Object.keys(STATUS), 'internal']);

/** What a client is told of an error. */
export interface ErrorAnswer {
  readonly status: ContentfulStatusCode;
  readonly body: { readonly error: string; readonly message: string; readonly code: string };
}

/** The one error shape. An internal error's message never leaves the node. */
export function errorAnswer(error: unknown): ErrorAnswer {
  if (error instanceof AgrinetError) {
    const status = STATUS[error.code];
    if (status !== undefined) return answer(status, error.code, error.message);
  }
  // hono's own refusals: a body that is not JSON.
  if (error instanceof HTTPException && error.status === 400)
    return answer(400, 'body-malformed', 'the body is not JSON');
  if (error instanceof HTTPException && error.status === 415)
    return answer(415, 'media-unsupported', 'send JSON, with content-type: application/json');
  return answer(500, 'internal', 'Internal error; the log of the node has the details');
}

function answer(status: ContentfulStatusCode, code: string, message: string): ErrorAnswer {
  return { status, body: { error: message, message, code } };
}

const CLIENT_GONE: ReadonlySet<unknown> = new Set(['ECONNRESET', 'EPIPE', 'ERR_STREAM_PREMATURE_CLOSE']);

/** Whether the client closed the connection in the middle of its request: nobody's fault here, and nobody to answer. */
export function isClientGone(error: unknown): boolean {
  return error instanceof Error && 'code' in error && CLIENT_GONE.has(error.code);
}
