import { createHash } from 'node:crypto';
import { z } from '@hono/zod-openapi';
import { AgrinetError } from '../../protocols/errors.ts';
import { nodeOf } from '../../protocols/market/party.ts';
import { isLive, type RecordState } from '../../protocols/open-dialog/record.ts';
import { SCHEMA_VERSION } from '../../protocols/open-dialog/schema.ts';
import { sha256Hex } from '../../protocols/wire/bytes.ts';
import { parseRecordKey, publicIdOf } from '../../protocols/wire/ids.ts';
import { byteStream } from '../byte-stream.ts';
import type { ApiContext } from '../context.ts';
import type { ChangePosition, ExchangePort } from '../ports/exchange.ts';
import type { TrustPort } from '../ports/trust.ts';
import { recordJson } from '../records.ts';
import { route, router } from '../route.ts';
import { Contract, Listing, TrendRecord } from '../schemas.ts';
import { pointsOf } from '../trust-json.ts';
import { isoTime } from '../../protocols/wire/iso-time.ts';
import { type LeftOut, Shown } from '../left-out.ts';
import { isOfOneRecord, type Unread } from '../../protocols/unread.ts';

const NDJSON = 'application/x-ndjson';

/** A record that ended since the cursor. */
const Ended = z.looseObject({ id: z.string(), owner: z.string(), deleted: z.literal(true) });
/** Somebody whom others have rated; nothing else is told of anybody. */
const ExportedUser = z
  .object({
    /** `user@peer-id`. */
    id: z.string(),
    owner: z.string(),
    role: z.literal('user'),
    /** LBTAS points as this node sees them; null while no rating counts. */
    reputationScore: z.number().nullable(),
    updatedAt: z.iso.datetime(),
  })
  .openapi('ExportedUser');
const Export = z
  .object({
    schemaVersion: z.number().int(),
    node: z.string(),
    generatedAt: z.iso.datetime(),
    full: z.boolean().openapi({ description: 'All there is; false: only what changed since the cursor' }),
    listings: z.array(z.union([Ended, Listing])),
    contracts: z.array(z.union([Ended, Contract])),
    trends: z.array(z.union([Ended, TrendRecord])),
    transactions: z.array(z.unknown()),
    users: z.array(ExportedUser),
    count: z.number().int(),
    sha256: z.string().openapi({
      description: 'Over each item’s JSON text as sent and a line feed, in order, hex',
    }),
    cursor: z.string().openapi({ description: 'For `since` of the next export' }),
    leftOut: z
      .array(z.object({ collection: z.string(), id: z.string(), reason: z.string() }))
      .optional()
      .openapi({
        description: 'Records that are missing because they cannot be read or shown; absent without any',
      }),
  })
  .openapi('Export');

/** Written as a stream, not by c.json: the document knows its schema, the handler returns a plain Response. */
const answer: { description: string } = Object.assign(
  { description: 'The export; its ETag is that of this cursor and format' },
  { content: { 'application/json': { schema: Export }, [NDJSON]: { schema: z.string() } } },
);

const exported = route(
  'read',
  {
    operationId: 'exportCatalogue',
    method: 'get',
    path: '/export',
    tags: ['Federation'],
    summary: 'The public catalogue of this node: all of it, or what changed since a cursor',
    description:
      'One JSON body, or with `Accept: application/x-ndjson` a line each: {"kind":"header"}, {"kind":"listings"} … {"kind":"end"}.',
    request: {
      query: z.object({
        since: z.string().max(128).optional(),
        owner: z.enum(['self', 'all']).default('all'),
      }),
      headers: z.object({
        accept: z.string().max(1024).optional(),
        'if-none-match': z.string().max(1024).optional(),
      }),
    },
    responses: {
      200: answer,
      304: { description: 'Nothing has changed' },
    },
  },
  'ignored',
);

/** Sections that hold records, with the id that clients know. Users are those who have been rated; transactions stay with their parties. */
const SECTIONS = [
  ['listings', 'listingId'],
  ['contracts', 'contractId'],
  ['trends', 'trendId'],
] as const;

/** Characters gathered for one write to the socket. */
const GATHER = 48 * 1024;

/** All sections, in the order of the export. */
const NAMES = [...SECTIONS.map(([name]) => name), 'transactions', 'users'] as const;
type Name = (typeof NAMES)[number];

interface Plan {
  readonly from: number | undefined;
  readonly end: ChangePosition;
  readonly owner: 'self' | 'all';
  /** What could not be shown. */
  readonly shown: Shown;
}

export function exportRoutes(
  node: { readonly exchange: Pick<ExchangePort, 'changes'> } & Pick<
    ApiContext,
    'env' | 'self' | 'reader' | 'log' | 'leftOut'
  > & {
      readonly trust: Pick<TrustPort, 'rated' | 'score' | 'roots'>;
    },
) {
  const { changes } = node.exchange;

  /** Records of one section as items: what is live, and in part of the whole also what ended. */
  async function* sectionItems(
    [collection, idField]: (typeof SECTIONS)[number],
    { from, owner, shown }: Plan,
  ): AsyncGenerator<object> {
    const start = `${collection}/${owner === 'self' ? `${node.self}/` : ''}`;
    const missed = (unread: Unread): void => {
      if (unread.key.startsWith(start)) shown.missed([unread]);
    };
    const states = from === undefined ? node.reader.all(collection, missed) : changes.since(from, missed);
    for await (const state of states) {
      if (state.channel !== 'public' || !state.key.startsWith(start)) continue;
      const item = shown.one(state.key, () =>
        isLive(state) ? live(state, idField) : from === undefined ? undefined : ended(state, idField),
      );
      if (item !== undefined) yield item;
    }
  }

  /** Those who were rated since, with their score as it stands now. */
  async function* users({ from, owner }: Plan): AsyncGenerator<z.output<typeof ExportedUser>> {
    let some: Set<unknown> | undefined;
    if (from !== undefined) {
      some = new Set();
      for await (const { key, view } of changes.since(from))
        if (key.startsWith('ratings/')) some.add(view['to']);
    }
    const now = node.env.now();
    for (const { subject, at } of await node.trust.rated()) {
      const of = nodeOf(subject) ?? '';
      if ((owner === 'self' && of !== node.self) || some?.has(subject) === false) continue;
      let score;
      try {
        ({ score } = await node.trust.score(subject));
      } catch (error) {
        // One of its ratings cannot be read, which is told where that happens.
        if (!isOfOneRecord(error)) throw error;
        continue;
      }
      yield {
        id: subject,
        owner: of,
        role: 'user',
        reputationScore: pointsOf(score),
        updatedAt: isoTime(Math.min(at, now)),
      };
    }
  }

  async function* items(name: Name, plan: Plan): AsyncGenerator<object> {
    const section = SECTIONS.find(([collection]) => collection === name);
    if (section !== undefined) yield* sectionItems(section, plan);
    else if (name === 'users') yield* users(plan);
  }

  function headOf(plan: Plan): Record<string, string | number | boolean> {
    const generatedAt = isoTime(node.env.now());
    return { schemaVersion: SCHEMA_VERSION, node: node.self, generatedAt, full: plan.from === undefined };
  }

  async function* asJson(plan: Plan): AsyncGenerator<string> {
    const hash = createHash('sha256');
    let count = 0;
    let text = JSON.stringify(headOf(plan)).slice(0, -1);
    for (const name of NAMES) {
      text += `,"${name}":[`;
      let first = true;
      for await (const item of items(name, plan)) {
        const json = JSON.stringify(item);
        hash.update(`${json}\n`);
        count++;
        text += first ? json : `,${json}`;
        first = false;
        if (text.length < GATHER) continue;
        yield text;
        text = '';
      }
      text += ']';
    }
    const end = { count, sha256: hash.digest('hex'), cursor: cursorOf(plan.end), ...leftOutOf(plan) };
    yield `${text},${JSON.stringify(end).slice(1)}`;
  }

  async function* asLines(plan: Plan): AsyncGenerator<string> {
    const hash = createHash('sha256');
    let count = 0;
    let text = `${JSON.stringify({ kind: 'header', ...headOf(plan) })}\n`;
    for (const name of NAMES) {
      for await (const item of items(name, plan)) {
        const line = `${JSON.stringify({ kind: name, ...item })}\n`;
        hash.update(line);
        count++;
        text += line;
        if (text.length < GATHER) continue;
        yield text;
        text = '';
      }
    }
    const sha256 = hash.digest('hex');
    const end = { kind: 'end', count, sha256, cursor: cursorOf(plan.end), ...leftOutOf(plan) };
    yield `${text}${JSON.stringify(end)}\n`;
  }

  return router().openapi(exported, async (c) => {
    const { since, owner } = c.req.valid('query');
    const end = await changes.now();
    const shown = new Shown(node.leftOut);
    const plan: Plan = { from: placeOf(since, end), end, owner, shown };
    const lines = wantsLines(c.req.header('accept'));
    // Scores are seen from here: who is registered is a part of what is told.
    const state = [end, plan.from, owner, lines, SCHEMA_VERSION, node.trust.roots()];
    const etag = `"${sha256Hex(JSON.stringify(state)).slice(0, 32)}"`;
    const headers = { etag, vary: 'accept', 'content-type': lines ? NDJSON : 'application/json' };
    if (matches(c.req.header('if-none-match'), etag))
      return new Response(null, { status: 304, headers: { etag, vary: 'accept' } });
    const body = byteStream(encoded(lines ? asLines(plan) : asJson(plan)), (error) =>
      node.log('an export broke off', { err: error }),
    );
    return new Response(body, { headers });
  });
}

/** What is missing, at the end of an export: it was streamed by then. */
function leftOutOf({ shown }: Plan): { readonly leftOut?: LeftOut[] } {
  const leftOut = shown.leftOut(false);
  return leftOut.length === 0 ? {} : { leftOut };
}

async function* encoded(texts: AsyncGenerator<string>): AsyncGenerator<Uint8Array> {
  const encoder = new TextEncoder();
  for await (const text of texts) yield encoder.encode(text);
}

function live(state: RecordState, idField: string): object {
  const json = recordJson(state);
  json[idField] = json.id;
  return json;
}

function ended({ key }: RecordState, idField: string): object {
  const parts = parseRecordKey(key);
  const id = publicIdOf(key);
  return { id, [idField]: id, owner: parts?.owner ?? '', deleted: true };
}

function cursorOf({ generation, change }: ChangePosition): string {
  return `${generation}.${change.toString(36)}`;
}

/** Where a cursor stands in this generation; nothing for one of another, which gets everything. Throws `query-invalid`. */
function placeOf(since: string | undefined, end: ChangePosition): number | undefined {
  if (since === undefined || since === '') return undefined;
  const [, generation, change] = /^([0-9a-f]{1,32})\.([0-9a-z]{1,9})$/.exec(since) ?? [];
  if (generation === undefined || change === undefined)
    throw new AgrinetError('query-invalid', 'since: the cursor of an earlier export');
  const place = Number.parseInt(change, 36);
  return generation === end.generation && place <= end.change ? place : undefined;
}

function wantsLines(accept: string | undefined): boolean {
  return accept !== undefined && /application\/(x-)?ndjson/i.test(accept);
}

function matches(header: string | undefined, etag: string): boolean {
  return header?.split(',').some((each) => each.trim().replace(/^W\//, '') === etag) ?? false;
}
