import { z } from '@hono/zod-openapi';
import { LRUCache } from 'lru-cache';
import { AgrinetError } from '../../protocols/errors.ts';
import type { Snapshot } from '../../protocols/market/trend-snapshot.ts';
import { type SnapshotVerdict, verifySnapshot } from '../../protocols/market/trend-verify.ts';
import { isLive, type RecordState } from '../../protocols/open-dialog/record.ts';
import { parseRecordKey, publicIdOf } from '../../protocols/wire/ids.ts';
import type { ApiContext } from '../context.ts';
import { keyOf } from '../records.ts';
import { nextOf, placeOf } from '../paging.ts';
import { json, route, router } from '../route.ts';
import { idParam, textQuery, wholeNumber } from '../schemas.ts';
import { isoTime, LAST_TIME } from '../../protocols/wire/iso-time.ts';
import { Shown } from '../left-out.ts';

const tags = ['Market'];
const head = {
  trendId: z.string(),
  owner: z.string(),
  region: z.string(),
  asOf: z.string().nullable(),
  inputs: z.string().openapi({ description: 'Digest of the prices it was made from' }),
  publishedAt: z.iso.datetime(),
};
const Head = z.object(head).openapi('TrendSnapshotHead');

const publish = route('operator', {
  operationId: 'publishTrendSnapshot',
  method: 'post',
  path: '/',
  tags,
  summary: 'Publish what trends this node sees now, unless nothing has changed since the last time',
  responses: {
    200: json(
      z.object({ trendId: z.string().nullable(), published: z.boolean(), reason: z.string().optional() }),
      'The snapshot that stands, and whether it is new',
    ),
  },
});
const list = route('read', {
  operationId: 'listTrendSnapshots',
  method: 'get',
  path: '/',
  tags,
  summary: 'Published trend snapshots of this node and others, newest first',
  request: {
    query: z.object({
      owner: textQuery,
      limit: wholeNumber(1, 100).default(20),
      cursor: z.string().max(2048).optional(),
    }),
  },
  responses: {
    200: json(
      z.object({ snapshots: z.array(Head), cursor: z.string().optional() }),
      'One page; with `owner` it may be short, or empty, and still have a cursor',
    ),
  },
});
const read = route('read', {
  operationId: 'getTrendSnapshot',
  method: 'get',
  path: '/{id}',
  tags,
  summary: 'One snapshot',
  request: { params: idParam },
  responses: {
    200: json(
      z
        .object({
          ...head,
          body: z.string().openapi({ description: 'Canonical JSON, to the byte as it was signed' }),
        })
        .openapi('TrendSnapshot'),
      'The snapshot',
    ),
  },
});
const verify = route('write', {
  operationId: 'verifyTrendSnapshot',
  method: 'get',
  path: '/{id}/verify',
  tags,
  summary: 'Make a snapshot again from the prices held here and compare',
  request: { params: idParam },
  responses: {
    200: json(
      z
        .object({
          ...head,
          verdict: z.enum(['verified', 'differs', 'other-inputs', 'malformed']),
          detail: z.string(),
          differs: z.array(z.string()),
          owners: z.array(
            z.object({
              owner: z.string(),
              named: z.number().int(),
              held: z.number().int(),
              state: z.enum(['lacking', 'differs']),
            }),
          ),
          lacking: z.number().int(),
          beyond: z.number().int(),
        })
        .openapi('TrendVerdict'),
      'What was found',
    ),
  },
});

/** Snapshots looked at for one page of one owner's. */
const SCANNED = 400;
const PAGE = 50;
/** Verdicts kept between requests. */
const KEPT = 256;

/** Snapshots under `/trends/snapshots`. */
export function snapshotRoutes(node: Pick<ApiContext, 'self' | 'reader' | 'trends' | 'leftOut'>) {
  const verdicts = new LRUCache<string, SnapshotVerdict>({ max: KEPT });

  async function found(id: string): Promise<RecordState> {
    const state = await node.reader.get(keyOf(id, node.self, 'trends'));
    if (!isLive(state)) throw new AgrinetError('not-found', 'Not found');
    return state;
  }

  return router()
    .openapi(publish, async (c) => {
      const { id = null, published, reason } = await node.trends.publish();
      return c.json({ trendId: id, published, ...(reason === undefined ? {} : { reason }) }, 200);
    })
    .openapi(list, async (c) => {
      const { owner, limit, cursor: from } = c.req.valid('query');
      const snapshots: z.infer<typeof Head>[] = [];
      const shown = new Shown(node.leftOut);
      let cursor = placeOf(c, from);
      for (let scanned = 0; scanned < SCANNED && snapshots.length < limit;) {
        const size = Math.min(PAGE, limit - snapshots.length);
        const page = await node.reader.list('trends', { fields: {} }, size, cursor);
        shown.missed(page.unread);
        const wanted = page.records.filter(
          ({ key }) => owner === undefined || parseRecordKey(key)?.owner === owner,
        );
        snapshots.push(...shown.each(wanted, ({ key }) => key, headOf));
        scanned += size;
        cursor = page.cursor;
        if (cursor === undefined) break;
      }
      shown.warn(c);
      return c.json({ snapshots, ...nextOf(c, cursor) }, 200);
    })
    .openapi(read, async (c) => {
      const state = await found(c.req.valid('param').id);
      return c.json({ ...headOf(state), body: snapshotOf(state).body }, 200);
    })
    .openapi(verify, async (c) => {
      const state = await found(c.req.valid('param').id);
      const held = await node.trends.prices();
      const known = `${state.key}\n${held.state}`;
      const verdict = verdicts.get(known) ?? verifySnapshot(snapshotOf(state), held.prices);
      verdicts.set(known, verdict);
      const { differs, owners, ...rest } = verdict;
      return c.json({ ...headOf(state), ...rest, differs: [...differs], owners: [...owners] }, 200);
    });
}

function headOf(state: RecordState): z.infer<typeof Head> {
  const parts = parseRecordKey(state.key);
  const { region, asOf, inputs, publishedAt } = snapshotOf(state);
  return {
    trendId: publicIdOf(state.key),
    owner: parts?.owner ?? '',
    region,
    asOf: asOf ?? null,
    inputs,
    // As its publisher says; one that is no date is shown as the time it was signed with.
    publishedAt: isoTime(publishedAt <= LAST_TIME ? publishedAt : state.created[0]),
  };
}

function snapshotOf({ view }: RecordState): Snapshot {
  const text = (field: string): string => String(view[field] ?? '');
  return {
    ...(view['asOf'] === undefined ? {} : { asOf: text('asOf') }),
    region: text('region'),
    inputs: text('inputs'),
    body: text('body'),
    publishedAt: Number(view['publishedAt']),
  };
}
