import { AgrinetError } from '../protocols/errors.ts';

/** HTTP status of an error code; what is not listed is our own fault and stays unexplained. */
const STATUS: Readonly<Record<string, 400 | 401 | 403 | 404 | 409 | 413 | 415 | 502 | 503 | 507>> = {
  'body-malformed': 400,
  'fields-invalid': 400,
  'query-invalid': 400,
  'id-invalid': 400,
  'key-malformed': 400,
  'registration-invalid': 400,
  'registration-self': 400,
  'wfp.header': 400,
  unauthorized: 403,
  'not-found': 404,
  'node-unknown': 404,
  'listing-exists': 409,
  'record-ended': 409,
  'registration-replayed': 409,
  'node-suspended': 409,
  'registry-full': 409,
  'party-unknown': 409,
  'body-too-large': 413,
  'join-failed': 502,
  busy: 503,
  'storage-failed': 503,
  'disk-full': 507,
};

export interface ErrorAnswer {
  readonly status: 400 | 401 | 403 | 404 | 409 | 413 | 415 | 500 | 502 | 503 | 507;
  readonly body: { readonly error: string; readonly code: string };
}

/** The one error shape. An internal error's message never leaves the node. */
export function errorAnswer(error: unknown): ErrorAnswer {
  if (error instanceof AgrinetError) {
    const status = STATUS[error.code];
    if (status !== undefined) return { status, body: { error: error.message, code: error.code } };
  }
  return {
    status: 500,
    body: { error: 'Internal error; the log of the node has the details', code: 'internal' },
  };
}

const CLIENT_GONE: ReadonlySet<unknown> = new Set(['ECONNRESET', 'EPIPE', 'ERR_STREAM_PREMATURE_CLOSE']);

/** Whether the client closed the connection in the middle of its request: nobody's fault here, and nobody to answer. */
export function isClientGone(error: unknown): boolean {
  return error instanceof Error && 'code' in error && CLIENT_GONE.has(error.code);
}
