import { z } from '@hono/zod-openapi';
import { isoTime } from '../../protocols/wire/iso-time.ts';
import { byteStream } from '../byte-stream.ts';
import type { ApiContext } from '../context.ts';
import type { ScrubPass } from '../ports/scrub.ts';
import { NDJSON, progressLines } from '../progress-lines.ts';
import { json, media, route, router } from '../route.ts';

const tags = ['Operator'];

const Pass = z.object({
  startedAt: z.string(),
  endedAt: z.string().nullable(),
  rows: z.number(),
  /** Rows that differed from the feeds, by table; made anew but for `beyond`. */
  wrong: z.record(z.string(), z.number()),
  beyond: z.number(),
});
const Standing = z
  .object({
    running: z.boolean(),
    phase: z.string().nullable(),
    current: Pass.nullable(),
    last: Pass.nullable(),
  })
  .openapi('Scrub');

const show = route('operator', {
  operationId: 'getScrub',
  method: 'get',
  path: '/',
  tags,
  summary: 'How far the comparison of stored rows with the feeds is, and what the last one found',
  responses: { 200: json(Standing, 'How it stands') },
});
const run = route('operator', {
  operationId: 'runScrub',
  method: 'post',
  path: '/',
  tags,
  summary: 'Compare all stored rows with the feeds now, and make anew what differs',
  responses: {
    200: media('Lines {done, total}; the last has `finished` and what was found, or `error`', NDJSON),
  },
});

/** `/scrub`. */
export function scrubRoutes({ env, scrub, log }: Pick<ApiContext, 'env' | 'scrub' | 'log'>) {
  return router()
    .openapi(show, (c) => {
      const { running, phase, current, last } = scrub.standing();
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
