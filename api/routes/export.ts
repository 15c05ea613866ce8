import { z } from '@hono/zod-openapi';
import { AgrinetError } from '../../protocols/errors.ts';
import { SCHEMA_VERSION } from '../../protocols/open-dialog/schema.ts';
import { sha256Hex } from '../../protocols/wire/bytes.ts';
import { byteStream } from '../byte-stream.ts';
import type { ApiContext } from '../context.ts';
import type { ChangePosition } from '../ports/exchange.ts';
import type { TrustPort } from '../ports/trust.ts';
import { route, router } from '../route.ts';
import { CatalogueExport, type ExportComponents, type ExportExtent } from '../catalogue-export.ts';
import { ContractRequest, DeletedRecord, Listing, TrendRecord } from '../market-schemas.ts';
import { TransactionJson } from '../contract-json.ts';
import { count, flag, text, timestamp } from '../schemas.ts';
import { Shown } from '../left-out.ts';

const NDJSON = 'application/x-ndjson';

/** A user whom others have rated; nothing else of any user is shown. */
const ExportedUser = z
  .object({
    id: text('`user@peer-id`.'),
    owner: text('Peer ID of the user’s node.'),
    role: z.literal('user'),
    reputationScore: z
      .number()
      .nullable()
      .describe('LBTAS score as seen by this node, -1 to 4; null while no rating counts.'),
    updatedAt: timestamp('When the newest rating was given.'),
  })
  .openapi('ExportedUser');
const LeftOutRecord = z
  .object({
    collection: text('Collection of the record.'),
    id: text('ID of the record.'),
    reason: z.enum(['value-damaged', 'not-presentable']),
  })
  .openapi('OmittedRecord');
const Export = z
  .object({
    schemaVersion: z.number().int().describe('Version of the record schemas.'),
    node: text('Peer ID of this node.'),
    generatedAt: timestamp('When the export was generated.'),
    full: flag('Whether this is a full export; false if it only has changes since the cursor.'),
    listings: z.array(z.union([DeletedRecord, Listing])),
    contracts: z.array(z.union([DeletedRecord, ContractRequest])).openapi({ description: 'Open requests.' }),
    trends: z.array(z.union([DeletedRecord, TrendRecord])),
    transactions: z
      .array(TransactionJson)
      .openapi({ description: 'Always empty: transactions are private.' }),
    users: z.array(ExportedUser),
    count: count('Number of items.'),
    sha256: text('SHA-256 over the JSON text of each item followed by a line feed, in order; hex.'),
    cursor: text('Pass it as `since` to the next export.'),
    leftOut: z
      .array(LeftOutRecord)
      .optional()
      .openapi({ description: 'Records omitted because they cannot be read; absent if there are none.' }),
  })
  .openapi('Export');

/** Written as a stream, not by c.json: the document knows its schema, the handler returns a plain Response. */
const answer: { description: string } = Object.assign(
  { description: 'The export; its `ETag` covers the cursor and the format.' },
  { content: { 'application/json': { schema: Export }, [NDJSON]: { schema: z.string() } } },
);

const exported = route(
  'read',
  {
    operationId: 'exportCatalogue',
    method: 'get',
    path: '/export',
    tags: ['Federation'],
    summary: 'Export the public catalogue of this node, or its changes since a cursor',
    description:
      'One JSON body, or with `Accept: application/x-ndjson` one item per line: `{"kind":"header"}`, `{"kind":"listings"}` … `{"kind":"end"}`.',
    request: {
      query: z.object({
        since: z.string().max(128).optional().openapi({ description: 'The `cursor` of an earlier export.' }),
        owner: z
          .enum(['self', 'all'])
          .default('all')
          .openapi({ description: '`self` exports only records of this node.' }),
      }),
      headers: z.object({
        accept: z
          .string()
          .max(1024)
          .optional()
          .openapi({ description: '`application/x-ndjson` for NDJSON.' }),
        'if-none-match': z
          .string()
          .max(1024)
          .optional()
          .openapi({ description: '`ETag` of an earlier export.' }),
      }),
    },
    responses: {
      200: answer,
      304: { description: 'Nothing has changed.' },
    },
  },
  'ignored',
);

export function exportRoutes(
  node: ExportComponents & Pick<ApiContext, 'log' | 'leftOut'> & { readonly trust: Pick<TrustPort, 'roots'> },
) {
  const { changes } = node.exchange;
  const catalogue = new CatalogueExport(node);
  return router().openapi(exported, async (c) => {
    const { since, owner } = c.req.valid('query');
    const end = await changes.now();
    const shown = new Shown(node.leftOut);
    const extent: ExportExtent = { from: placeOf(since, end), end, owner, shown };
    const lines = wantsLines(c.req.header('accept'));
    // Scores are computed by this node: its registry is one of the inputs.
    const state = [end, extent.from, owner, lines, SCHEMA_VERSION, node.trust.roots()];
    const etag = `"${sha256Hex(JSON.stringify(state)).slice(0, 32)}"`;
    const headers = { etag, vary: 'accept', 'content-type': lines ? NDJSON : 'application/json' };
    if (matches(c.req.header('if-none-match'), etag))
      return new Response(null, { status: 304, headers: { etag, vary: 'accept' } });
    const text = lines ? catalogue.lines(extent) : catalogue.json(extent);
    const body = byteStream(encoded(text), (error) => node.log('an export broke off', { err: error }));
    return new Response(body, { headers });
  });
}

async function* encoded(texts: AsyncGenerator<string>): AsyncGenerator<Uint8Array> {
  const encoder = new TextEncoder();
  for await (const text of texts) yield encoder.encode(text);
}

/** The position of a cursor in this generation; undefined for one of another, which gets everything. Throws `query-invalid`. */
function placeOf(since: string | undefined, end: ChangePosition): number | undefined {
  if (since === undefined || since === '') return undefined;
  const [, generation, change] = /^([0-9a-f]{1,32})\.([0-9a-z]{1,9})$/.exec(since) ?? [];
  if (generation === undefined || change === undefined)
    throw new AgrinetError('query-invalid', 'since: must be the cursor of an earlier export');
  const place = Number.parseInt(change, 36);
  return generation === end.generation && place <= end.change ? place : undefined;
}

function wantsLines(accept: string | undefined): boolean {
  return accept !== undefined && /application\/(x-)?ndjson/i.test(accept);
}

function matches(header: string | undefined, etag: string): boolean {
  return header?.split(',').some((each) => each.trim().replace(/^W\//, '') === etag) ?? false;
}
