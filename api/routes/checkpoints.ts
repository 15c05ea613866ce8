import { z } from '@hono/zod-openapi';
import { isoTime } from '../../protocols/wire/iso-time.ts';
import { byteStream } from '../byte-stream.ts';
import type { ApiContext } from '../context.ts';
import type { CheckpointOutcome } from '../ports/checkpoints.ts';
import { NDJSON, progressLines } from '../progress-lines.ts';
import { json, media, route, router } from '../route.ts';
import { count, flag, timestamp } from '../schemas.ts';

const tags = ['Operator'];

const AuthorCheckpoint = z
  .object({
    author: z.string().describe('Peer ID of the node that signed it.'),
    id: z.string().describe('SHA-256 of what was signed.'),
    gen: count('Generation: one more than that of the checkpoint it replaced.'),
    time: timestamp('When it was signed, by the clock of its author.'),
    count: count('Number of records covered, ended ones with a tombstone included.'),
    bytes: count('Size of its snapshot in bytes.'),
    contested: flag('Whether its author has signed another one that none replaces.'),
    verified: z
      .enum(['own', 'true', 'false', 'incomplete'])
      .nullable()
      .describe(
        'Whether the entries held here give this snapshot: `incomplete` if they cannot tell yet, `own` for this node’s own, null before it was verified.',
      ),
    why: z.string().nullable().describe('Why it is `false` or `incomplete`.'),
  })
  .openapi('AuthorCheckpoint');
const Status = z
  .object({
    everyDays: count('Days between two checkpoints of this node; 0 if it makes none by itself.'),
    checkpoints: z
      .array(AuthorCheckpoint)
      .openapi({ description: 'The effective checkpoint of each node followed.' }),
  })
  .openapi('Checkpoints');

const LINES =
  'Progress as NDJSON: `{done, total}` per line. The last line has `finished` and the outcome, or `error`.';

const show = route('operator', {
  operationId: 'getCheckpoints',
  method: 'get',
  path: '/',
  tags,
  summary:
    'List the effective checkpoint of this node and of each node it follows, and whether it was verified',
  responses: { 200: json(Status, 'The checkpoints.') },
});
const plan = route('operator', {
  operationId: 'planCheckpoint',
  method: 'get',
  path: '/plan',
  tags,
  summary: 'Compute what a checkpoint made now would cover, or why none can be made, without making one',
  responses: { 200: media(LINES, NDJSON) },
});
const make = route('operator', {
  operationId: 'makeCheckpoint',
  method: 'post',
  path: '/',
  tags,
  summary: 'Make a checkpoint of this node’s public records',
  responses: { 200: media(LINES, NDJSON) },
});

/** `/checkpoints`. */
export function checkpointRoutes({ env, checkpoints, log }: Pick<ApiContext, 'env' | 'checkpoints' | 'log'>) {
  type Work = (onProgress: (done: number, total: number) => void) => Promise<CheckpointOutcome>;
  const lines = (work: Work) =>
    byteStream(
      progressLines(
        env,
        async (onProgress) => shownOutcome(await work(onProgress)),
        (error) => log('a checkpoint failed', { err: error }),
      ),
    );
  const headers = { 'content-type': NDJSON };
  return router()
    .openapi(show, async (c) => {
      const { everyDays, checkpoints: shown } = await checkpoints.status();
      const rows = shown.map(({ time, verified, why, ...rest }) => ({
        ...rest,
        time: isoTime(time),
        verified: verified ?? null,
        why: why ?? null,
      }));
      return c.json({ everyDays, checkpoints: rows }, 200);
    })
    .openapi(plan, (c) =>
      c.body(
        lines((onProgress) => checkpoints.plan(onProgress)),
        200,
        headers,
      ),
    )
    .openapi(make, (c) =>
      c.body(
        lines((onProgress) => checkpoints.make(onProgress)),
        200,
        headers,
      ),
    );
}

function shownOutcome({ outcome, id, figures, why }: CheckpointOutcome): object {
  return {
    outcome,
    id: id ?? null,
    figures: figures === undefined ? null : { ...figures, through: isoTime(figures.through) },
    why: why ?? null,
  };
}
