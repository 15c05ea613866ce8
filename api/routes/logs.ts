import { z } from '@hono/zod-openapi';
import { AUDIT_KINDS, type AuditLine } from '../../protocols/audit/chain.ts';
import type { AuditPort } from '../ports/audit.ts';
import { json, route, router } from '../route.ts';
import { isoTime } from '../../protocols/wire/iso-time.ts';
import { wholeNumber } from '../schemas.ts';

const tags = ['Operator'];
/** `timestamp`, `actorId` and `action` are the names of the old back end's log items. */
const Line = z
  .object({
    no: z.number().int(),
    timestamp: z.string(),
    action: z.string(),
    actorId: z.string(),
    subject: z.string().optional(),
    transactionId: z.string().optional(),
    note: z.string().optional(),
    detail: z.record(z.string(), z.unknown()).optional(),
    hash: z.string(),
  })
  .openapi('AuditLine');
const Problem = z.object({
  line: z.number().int(),
  problem: z.enum(['changed', 'missing', 'inserted', 'cut-off', 'head-differs']),
});

const list = route(
  'operator',
  {
    operationId: 'listAuditLog',
    method: 'get',
    path: '/',
    tags,
    summary: 'The audit log, newest first',
    request: {
      query: z.object({
        transactionId: z.string().max(256).optional(),
        kind: z.enum(AUDIT_KINDS).optional(),
        actor: z.string().max(256).optional(),
        limit: wholeNumber(1, 1000).default(100),
        below: wholeNumber(1, 1e12).optional(),
      }),
    },
    responses: {
      200: json(z.object({ logs: z.array(Line), cursor: z.number().int().optional() }), 'One page'),
    },
  },
  'ignored',
);
const verify = route('operator', {
  operationId: 'verifyAuditLog',
  method: 'get',
  path: '/verify',
  tags,
  summary: 'Follow the whole chain of the audit log, and hold it against the heads signed in the feed',
  responses: {
    200: json(
      z.object({
        lines: z.number().int(),
        head: z.object({ no: z.number().int(), hash: z.string() }),
        problems: z.array(Problem),
      }),
      'What was found; no problems means that no line was changed, removed, put in or cut off',
    ),
  },
});

/** Problems shown: the first says where to look, the rest mostly follow from it. */
const SHOWN = 100;

export function logRoutes({ audit }: { readonly audit: AuditPort }) {
  return router()
    .openapi(list, async (c) => {
      const { lines, cursor } = await audit.list(c.req.valid('query'));
      const logs = lines.map(shown);
      return c.json(cursor === undefined ? { logs } : { logs, cursor }, 200);
    })
    .openapi(verify, async (c) => {
      const { count, head, problems } = await audit.verify();
      const { no, hash } = head;
      return c.json({ lines: count, head: { no, hash }, problems: problems.slice(0, SHOWN) }, 200);
    });
}

function shown({ no, at, kind, actor, subject, transactionId, note, detail, hash }: AuditLine) {
  return {
    no,
    timestamp: isoTime(at),
    action: kind,
    actorId: actor,
    hash,
    ...(subject === undefined ? {} : { subject }),
    ...(transactionId === undefined ? {} : { transactionId }),
    ...(note === undefined ? {} : { note }),
    ...(detail === undefined ? {} : { detail }),
  };
}
