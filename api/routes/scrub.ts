import { z } from '@hono/zod-openapi';
import { isoTime } from '../../protocols/wire/iso-time.ts';
import { byteStream } from '../byte-stream.ts';
import type { ApiContext } from '../context.ts';
import type { ScrubPass } from '../ports/scrub.ts';
import { NDJSON, progressLines } from '../progress-lines.ts';
import { json, media, route, router } from '../route.ts';
import { count, flag, timestamp } from '../schemas.ts';

const tags = ['Operator'];

const Pass = z
  .object({
    startedAt: timestamp('When it started.'),
    endedAt: z.iso.datetime().nullable().describe('When it ended; null while it is running.'),
    rows: count('Number of rows compared.'),
    wrong: z
      .record(z.string(), z.number().int())
      .openapi({ description: 'Number of rows that differed from the feeds, by table.' }),
    beyond: count('Number of those that could not be repaired.'),
    unchecked: count(
      'Number of records with more than 50,000 changes, of whose rows only the checksums were compared.',
    ),
  })
  .openapi('ScrubPass');
const PassOrNull = z.union([Pass, z.null()]);
const Status = z
  .object({
    running: flag('Whether a scrub is running.'),
    phase: z.string().nullable().describe('Phase of the running scrub.'),
    current: PassOrNull.openapi({ description: 'The running scrub.' }),
    last: PassOrNull.openapi({ description: 'The last completed scrub.' }),
  })
  .openapi('Scrub');

const show = route('operator', {
  operationId: 'getScrub',
  method: 'get',
  path: '/',
  tags,
  summary: 'Retrieve the progress of the running scrub and the result of the last one',
  responses: { 200: json(Status, 'The scrub.') },
});
const run = route('operator', {
  operationId: 'runScrub',
  method: 'post',
  path: '/',
  tags,
  summary: 'Run a scrub: compare the database with the feeds and repair differences',
  responses: {
    200: media(
      'Progress as NDJSON: `{done, total}` per line. The last line has `finished` and the result, or `error`.',
      NDJSON,
    ),
  },
});

/** `/scrub`. */
export function scrubRoutes({ env, scrub, log }: Pick<ApiContext, 'env' | 'scrub' | 'log'>) {
  return router()
    .openapi(show, (c) => {
      const { running, phase, current, last } = scrub.status();
      return c.json({ running, phase: phase ?? null, current: shown(current), last: shown(last) }, 200);
    })
    .openapi(run, (c) => {
      const lines = progressLines(
        env,
        async (onProgress) => shown(await scrub.run(onProgress)),
        (error) => log('a scrub failed', { err: error }),
      );
      return c.body(byteStream(lines), 200, { 'content-type': NDJSON });
    });
}

function shown(pass: ScrubPass): z.output<typeof Pass>;
function shown(pass: ScrubPass | undefined): z.output<typeof Pass> | null;
function shown(pass: ScrubPass | undefined): z.output<typeof Pass> | null {
  if (pass === undefined) return null;
  const { startedAt, endedAt, ...rest } = pass;
  return { startedAt: isoTime(startedAt), endedAt: endedAt === undefined ? null : isoTime(endedAt), ...rest };
}
