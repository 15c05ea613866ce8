import { z } from '@hono/zod-openapi';
import { isoTime } from '../../protocols/wire/iso-time.ts';
import { byteStream } from '../byte-stream.ts';
import type { ApiContext } from '../context.ts';
import { errorAnswer, isClientGone } from '../errors.ts';
import type { ScrubPass } from '../ports/scrub.ts';
import { json, media, route, router } from '../route.ts';

const tags = ['Operator'];
const NDJSON = 'application/x-ndjson';
/** Between two lines of progress, milliseconds. */
const LINE_MS = 200;

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
  method: 'get',
  path: '/',
  tags,
  summary: 'How far the comparison of stored rows with the feeds is, and what the last one found',
  responses: { 200: json(Standing, 'How it stands') },
});
const run = route('operator', {
  method: 'post',
  path: '/',
  tags,
  summary: 'Compare all stored rows with the feeds now, and make anew what differs',
  responses: {
    200: media('Lines {done, total}; the last has `finished` and what was found, or `error`', NDJSON),
  },
});

const encoder = new TextEncoder();
const line = (value: object): Uint8Array => encoder.encode(`${JSON.stringify(value)}\n`);

/** `/scrub`. */
export function scrubRoutes({ scrub, log }: Pick<ApiContext, 'scrub' | 'log'>) {
  return router()
    .openapi(show, (c) => {
      const { running, phase, current, last } = scrub.standing();
      return c.json({ running, phase: phase ?? null, current: shown(current), last: shown(last) }, 200);
    })
    .openapi(run, (c) => c.body(byteStream(lines()), 200, { 'content-type': NDJSON }));

  async function* lines(): AsyncGenerator<Uint8Array> {
    let at = { done: 0, total: 0 };
    let told = false;
    const pass = scrub.run((done, total) => (at = { done, total }));
    const ended = pass.then(
      () => true,
      () => true,
    );
    try {
      for (; !told; told = await Promise.race([ended, later()])) yield line(at);
      yield line({ finished: true, ...shown(await pass) });
    } catch (error) {
      const { status, body } = errorAnswer(error);
      if (status === 500 && !isClientGone(error)) log('a scrub failed', { err: error });
      yield line(body);
    }
  }
}

function later(): Promise<false> {
  return new Promise((resolve) => {
    setTimeout(() => resolve(false), LINE_MS);
  });
}

function shown(pass: ScrubPass): z.output<typeof Pass>;
function shown(pass: ScrubPass | undefined): z.output<typeof Pass> | null;
function shown(pass: ScrubPass | undefined): z.output<typeof Pass> | null {
  if (pass === undefined) return null;
  const { startedAt, endedAt, ...rest } = pass;
  return { startedAt: isoTime(startedAt), endedAt: endedAt === undefined ? null : isoTime(endedAt), ...rest };
}
