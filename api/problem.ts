import { type RouteConfig, z } from '@hono/zod-openapi';
import { ERROR_CODES, type ErrorCode } from '../protocols/error-codes.ts';
import type { RouteAccess } from './access.ts';
import { REFUSAL_CODES } from './errors.ts';
import { text } from './schemas.ts';

/** The codes that clients can meet. */
export const ErrorCodeJson = z
  .enum([...REFUSAL_CODES].sort() as [ErrorCode, ...ErrorCode[]])
  .openapi('ErrorCode', { description: 'Stable, machine-readable error code.' });

/** The one shape of every refusal. `message` repeats `error` for clients that look there. */
export const Problem = z
  .object({
    error: text('What went wrong, and how to fix it.'),
    message: text('Same as `error`.'),
    code: ErrorCodeJson,
    requestId: text('ID of the request; also in the `x-request-id` header and in the log of the node.'),
  })
  .openapi('Problem');

/** Errors when this node asks another one on behalf of a caller. */
export const PEER_CODES: readonly ErrorCode[] = [
  'address-refused',
  'answer-malformed',
  'answer-too-large',
  'certificate-changed',
  'certificate-foreign',
  'identity-absent',
  'join-failed',
  'peer-distrusted',
  'peer-redirects',
  'peer-refused',
  'peer-timeout',
  'peer-unreachable',
  'proof-invalid',
  'source-key-needed',
  'source-key-refused',
];

type Declared = Pick<RouteConfig, 'method' | 'request'> & { readonly codes?: readonly ErrorCode[] };

/** Whatever is asked for. */
const ALWAYS: readonly ErrorCode[] = [
  'database-damaged',
  'host-refused',
  'internal',
  'query-invalid',
  'rate-limited',
  'stopping',
  'storage-failed',
  'token-invalid',
  'token-unverifiable',
  'unauthorized',
];
const WITH_BODY: readonly ErrorCode[] = [
  'body-malformed',
  'body-slow',
  'body-too-large',
  'media-unsupported',
];
const WITH_JSON: readonly ErrorCode[] = ['body-too-deep', 'fields-invalid'];
const REPEATED: readonly ErrorCode[] = [
  'idempotency-busy',
  'idempotency-done',
  'idempotency-malformed',
  'idempotency-mismatch',
];
const WRITING: readonly ErrorCode[] = ['busy', 'disk-full', 'origin-refused'];

function codesOf(access: RouteAccess, { method, request, codes = [] }: Declared): ErrorCode[] {
  const content = request?.body?.content;
  return [
    ...ALWAYS,
    ...codes,
    ...(access === 'open' ? [] : (['forbidden'] as const)),
    ...(request?.params === undefined ? [] : (['not-found'] as const)),
    ...(content === undefined ? [] : WITH_BODY),
    ...(content?.['application/json'] === undefined ? [] : WITH_JSON),
    ...(method === 'post' ? REPEATED : []),
    ...(method === 'get' ? [] : WRITING),
  ];
}

/** The refusals that a route can give, by status, each with its codes: those that follow from its access and its input, and its own. */
export function refusals(access: RouteAccess, declared: Declared): RouteConfig['responses'] {
  const byStatus = Map.groupBy(new Set(codesOf(access, declared)), (code) => ERROR_CODES[code].http);
  return Object.fromEntries(
    [...byStatus].map(([status, codes]) => [
      status,
      {
        description: codes
          .sort()
          .map((code) => `\`${code}\``)
          .join(', '),
        content: { 'application/json': { schema: Problem } },
        'x-error-codes': codes,
      },
    ]),
  );
}
