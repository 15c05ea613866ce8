import { z } from '@hono/zod-openapi';
import { AUDIT_KINDS, type AuditLine } from '../../protocols/audit/chain.ts';
import type { AuditPort } from '../ports/audit.ts';
import { json, route, router } from '../route.ts';
import { isoTime } from '../../protocols/wire/iso-time.ts';
import { count, filterQuery, JsonObject, text, timestamp, wholeNumber } from '../schemas.ts';

const tags = ['Operator'];
/** `timestamp`, `actorId` and `action` are the names of the old back end's log items. */
const Line = z
  .object({
    no: z.number().int().min(1).describe('Number of the entry, counted from 1 without gaps.'),
    timestamp: timestamp('When it happened.'),
    action: z.enum(AUDIT_KINDS),
    actorId: text('Who did it: the ID of a key, `token:<subject>`, `operator` or `node`.'),
    subject: text('What it was about.').optional(),
    transactionId: text('ID of the contract it belongs to.').optional(),
    note: text('What was done.').optional(),
    detail: JsonObject.optional(),
    hash: text('SHA-256 of the entry chained to the previous one, hex.'),
  })
  .openapi('AuditEntry');
const Page = z
  .object({
    logs: z.array(Line),
    cursor: count('Pass it as `below` to fetch the next page; absent on the last page.').optional(),
  })
  .openapi('AuditEntryPage');
const Verification = z
  .object({
    lines: count('Number of entries checked.'),
    head: z.object({ no: count('Number of the newest entry.'), hash: text('Its hash, hex.') }),
    problems: z
      .array(
        z.object({
          line: count('Number of the entry.'),
          problem: z.enum(['changed', 'missing', 'inserted', 'cut-off', 'head-differs']),
        }),
      )
      .openapi({ description: 'Empty if no entry was changed, removed, inserted or truncated.' }),
  })
  .openapi('AuditVerification');

const list = route(
  'operator',
  {
    operationId: 'listAuditLog',
    method: 'get',
    path: '/',
    tags,
    summary: 'List audit log entries, newest first',
    request: {
      query: z.object({
        transactionId: filterQuery('ID of a contract.'),
        kind: z.enum(AUDIT_KINDS).optional().openapi({ description: 'Kind of action.' }),
        actor: filterQuery('Who did it.'),
        limit: wholeNumber(1, 1000)
          .default(100)
          .openapi({ description: 'Maximum number of items per page.' }),
        below: wholeNumber(1, 1e12)
          .optional()
          .openapi({ description: 'Only entries with a lower number; the `cursor` of the previous page.' }),
      }),
    },
    responses: { 200: json(Page, 'A page of entries.') },
  },
  'ignored',
);
const verify = route('operator', {
  operationId: 'verifyAuditLog',
  method: 'get',
  path: '/verify',
  tags,
  summary: 'Verify the hash chain of the audit log against the signed heads',
  responses: { 200: json(Verification, 'The result.') },
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
    ...(detail === undefined ? {} : { detail: detail as z.output<typeof JsonObject> }), // it is kept as JSON
  };
}
