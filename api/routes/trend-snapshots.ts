import { z } from '@hono/zod-openapi';
import { LRUCache } from 'lru-cache';
import { AgrinetError } from '../../protocols/errors.ts';
import type { Snapshot } from '../../protocols/market/trend-snapshot.ts';
import type { SnapshotVerdict } from '../../protocols/market/trend-verify.ts';
import { isLive, type RecordState } from '../../protocols/open-dialog/record.ts';
import { parseRecordKey, publicIdOf } from '../../protocols/wire/ids.ts';
import type { ApiContext } from '../context.ts';
import { keyOf } from '../records.ts';
import { nextOf, placeOf } from '../paging.ts';
import { json, route, router } from '../route.ts';
import {
  count,
  peerQuery,
  flag,
  idParam,
  pageOf,
  pageQuery,
  text,
  texts,
  timestamp,
  wholeNumber,
} from '../schemas.ts';
import { isoTime, LAST_TIME } from '../../protocols/wire/iso-time.ts';
import { Shown } from '../left-out.ts';

const tags = ['Trends'];
const head = {
  trendId: text('`<owner>.<local id>`.'),
  owner: text('Peer ID of the publisher.'),
  region: text('Region covered; `global` for all.'),
  asOf: z.string().nullable().describe('Newest day covered, `YYYY-MM-DD`; null without prices.'),
  inputs: text('SHA-256 of the input prices, hex.'),
  publishedAt: timestamp('When it was published.'),
};
const Head = z.object(head).openapi('TrendSnapshotSummary');
const Snapshot = z
  .object({ ...head, body: text('The report as canonical JSON (RFC 8785), exactly as signed.') })
  .openapi('TrendSnapshot');
const Publication = z
  .object({
    trendId: z.string().nullable().describe('ID of the current snapshot; null if there is none.'),
    published: flag('Whether a new snapshot was published.'),
    reason: z
      .enum(['no-prices', 'unchanged', 'not-due'])
      .optional()
      .openapi({ description: 'Why none was published.' }),
  })
  .openapi('TrendPublication');
const OwnerInputs = z
  .object({
    owner: text('Peer ID of the owner of the prices.'),
    named: count('Number of prices the snapshot is based on.'),
    held: count('Number of those on this node.'),
    state: z.enum(['lacking', 'differs']),
  })
  .openapi('TrendInputDifference');
const Verification = z
  .object({
    ...head,
    verdict: z.enum(['verified', 'differs', 'other-inputs', 'malformed']),
    detail: text('Explanation of the verdict.'),
    differs: texts('Fields that differ.'),
    owners: z.array(OwnerInputs).openapi({ description: 'Owners whose prices differ.' }),
    lacking: count('Number of input prices missing on this node.'),
    beyond: count('Number of prices on this node that the snapshot does not include.'),
  })
  .openapi('TrendVerification');

const publish = route('operator', {
  operationId: 'publishTrendSnapshot',
  method: 'post',
  path: '/',
  tags,
  summary: 'Publish a trend snapshot if the trends have changed since the last one',
  responses: { 200: json(Publication, 'The current snapshot, and whether it is new.') },
});
const list = route('read', {
  operationId: 'listTrendSnapshots',
  method: 'get',
  path: '/',
  tags,
  summary: 'List published trend snapshots of all nodes, newest first',
  description: 'With `owner`, a page may be short or even empty and still have a `cursor`.',
  request: {
    query: z.object({
      owner: peerQuery('Peer ID of the publisher.'),
      limit: wholeNumber(1, 100).default(20).openapi({ description: 'Maximum number of items per page.' }),
      cursor: pageQuery.cursor,
    }),
  },
  responses: { 200: json(pageOf('snapshots', Head), 'A page of snapshots.') },
});
const read = route('read', {
  operationId: 'getTrendSnapshot',
  method: 'get',
  path: '/{id}',
  tags,
  summary: 'Retrieve a trend snapshot',
  request: { params: idParam },
  responses: { 200: json(Snapshot, 'The snapshot.') },
});
const verify = route('write', {
  operationId: 'verifyTrendSnapshot',
  method: 'get',
  path: '/{id}/verify',
  tags,
  summary: 'Verify a trend snapshot by recomputing it from the prices on this node',
  request: { params: idParam },
  responses: { 200: json(Verification, 'The result.') },
});

/** Snapshots read for one page of one owner's. */
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
      const known = `${state.key}\n${node.trends.state()}`;
      const verdict = verdicts.get(known) ?? (await node.trends.verify(snapshotOf(state)));
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
    // According to its publisher; an invalid date is replaced by the signed time.
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
