import { z } from '@hono/zod-openapi';
import { noteText } from '../../protocols/market/deal-note/note.ts';
import { actorOf, type ContractsContext } from '../contract-inputs.ts';
import { dealNotePage } from '../deal-note-page.ts';
import { DealNoteJson } from '../deal-note-schema.ts';
import { keyOf } from '../records.ts';
import { jsonOrMedia, route, router } from '../route.ts';
import { idParam } from '../schemas.ts';

const read = route('read', {
  operationId: 'getDealNote',
  method: 'get',
  path: '/{id}/note',
  tags: ['Contracts'],
  summary: 'Retrieve the deal note of a contract: terms, steps and signatures, to print or to verify offline',
  description:
    'For its parties. JSON, exactly as `agrinet contract verify` reads it, or an HTML page that prints on one A4 page. The note can still be read after the listing has been erased.',
  request: {
    params: idParam,
    headers: z.object({
      accept: z
        .string()
        .max(1024)
        .optional()
        .openapi({ description: '`text/html` for the page; JSON otherwise.' }),
    }),
  },
  responses: { 200: jsonOrMedia(DealNoteJson, 'The note.', 'text/html') },
  codes: ['contract-state', 'record-merging'],
});

export function dealNoteRoutes({ self, contracts }: Omit<ContractsContext, 'leftOut'>) {
  return router().openapi(read, async (c) => {
    const made = await contracts.dealNote(
      keyOf(c.req.valid('param').id, self, 'contracts'),
      actorOf(c.get('principal')),
    );
    c.header('vary', 'accept');
    c.header('cache-control', 'no-store');
    if (!/\btext\/html\b/i.test(c.req.valid('header').accept ?? ''))
      return c.body(noteText(made), 200, { 'content-type': 'application/json' });
    c.header('content-security-policy', "default-src 'none'; style-src 'unsafe-inline'");
    return c.html(await dealNotePage(made));
  });
}
