import type { ContentfulStatusCode } from 'hono/utils/http-status';
import { HTTPException } from 'hono/http-exception';
import { ERROR_CODES, type ErrorCode } from '../protocols/error-codes.ts';
import { AgrinetError, systemCode } from '../protocols/errors.ts';

/** Every code that a refusal can have: what counts refusals by code has so many places and no more. */
export const REFUSAL_CODES: ReadonlySet<string> = new Set(
  Object.entries(ERROR_CODES).flatMap(([code, { http }]) =>
    http === 500 && code !== 'internal' ? [] : [code],
  ),
);

/** What a client gets of an error. */
export interface ErrorAnswer {
  readonly status: ContentfulStatusCode;
  readonly body: { readonly error: string; readonly message: string; readonly code: ErrorCode };
}

/** LevelDB's error for requests that were in progress when it was closed to be reopened. */
const CLOSED: ReadonlySet<string> = new Set([
  'LEVEL_DATABASE_NOT_OPEN',
  'LEVEL_ITERATOR_NOT_OPEN',
  'LEVEL_SNAPSHOT_NOT_OPEN',
]);

/** The one error shape. An internal error's message never leaves the node. */
export function errorAnswer(error: unknown): ErrorAnswer {
  if (error instanceof AgrinetError && ERROR_CODES[error.code].http !== 500)
    return answer(error.code, error.message);
  // hono's own refusals: a body that is not JSON.
  if (error instanceof HTTPException && error.status === 400)
    return answer('body-malformed', 'the body is not JSON');
  if (error instanceof HTTPException && error.status === 415)
    return answer('media-unsupported', 'send JSON, with content-type: application/json');
  if (CLOSED.has(systemCode(error)))
    return answer('storage-failed', 'the database is being reopened; try again shortly');
  return answer('internal', 'Internal error; the log of the node has the details');
}

function answer(code: ErrorCode, message: string): ErrorAnswer {
  return { status: ERROR_CODES[code].http, body: { error: message, message, code } };
}

const CLIENT_GONE: ReadonlySet<string> = new Set(['ECONNRESET', 'EPIPE', 'ERR_STREAM_PREMATURE_CLOSE']);

/** Whether the client closed the connection during its request: nobody's fault here, and nobody to answer. */
export function isClientGone(error: unknown): boolean {
  return CLIENT_GONE.has(systemCode(error));
}
