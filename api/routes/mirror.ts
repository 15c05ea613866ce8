import { z } from '@hono/zod-openapi';
import type { ApiContext } from '../context.ts';
import { byteStream } from '../byte-stream.ts';
import { errorAnswer, isClientGone } from '../errors.ts';
import type { MirrorStatus, MirrorStep } from '../ports/mirror.ts';
import { json, jsonInput, media, route, router } from '../route.ts';
import { isoTime } from '../../protocols/wire/iso-time.ts';

const tags = ['Operator'];
const NDJSON = 'application/x-ndjson';
const LINES =
  'Lines {done, total} and {difference: {table, key, kind}}; the last has `finished` and the figures, or `error`';

const Status = z
  .object({
    state: z.string(),
    detail: z.string(),
    prefix: z.string(),
    holder: z
      .object({ peerId: z.string(), incarnation: z.number(), seenAt: z.string().nullable() })
      .nullable(),
    incarnation: z.number(),
    /** Entries of the outbox whose newest state is not in the tables, and how long the oldest has been waiting. */
    lag: z.object({ entries: z.number(), seconds: z.number() }),
    outbox: z.number(),
    waiting: z.number(),
    inFlight: z.number(),
    refused: z.object({
      count: z.number(),
      rows: z.array(z.object({ key: z.string(), reason: z.string() })),
    }),
    written: z.number(),
    tombstoned: z.number(),
    removed: z.number(),
    overtaken: z.number(),
    failures: z.number(),
    lastWriteAt: z.string().nullable(),
    lastError: z.string().nullable(),
    repairDue: z.boolean(),
  })
  .openapi('MirrorStatus');

const status = route('operator', {
  operationId: 'getMirror',
  method: 'get',
  path: '/',
  tags,
  summary: 'How the DynamoDB mirror is: state, holder, lag, what is refused',
  responses: { 200: json(Status, 'The mirror') },
});
const init = route('operator', {
  operationId: 'initMirror',
  method: 'post',
  path: '/init',
  tags,
  summary: 'Make the tables that are missing; with `takeOver` take them from a node that is gone',
  request: { body: jsonInput(z.object({ takeOver: z.boolean().default(false) })) },
  responses: {
    200: json(
      z.object({ made: z.array(z.string()), state: z.string(), detail: z.string() }),
      'The tables that were made, and how the mirror is now',
    ),
  },
});
const verify = route('operator', {
  operationId: 'verifyMirror',
  method: 'post',
  path: '/verify',
  tags,
  summary: 'Hold every item of the tables against LevelDB, both ways',
  responses: { 200: media(LINES, NDJSON) },
});
const repair = route('operator', {
  operationId: 'repairMirror',
  method: 'post',
  path: '/repair',
  tags,
  summary: 'The same, and bring out anew whatever differs',
  request: { body: jsonInput(z.object({ deleteForeign: z.boolean().default(false) })) },
  responses: { 200: media(LINES, NDJSON) },
});

const iso = (ms: number | undefined): string | null => (ms === undefined || ms === 0 ? null : isoTime(ms));

export function mirrorRoutes({ mirror, log }: Pick<ApiContext, 'mirror' | 'log'>) {
  return router()
    .openapi(status, async (c) => c.json(shown(await mirror.status()), 200))
    .openapi(init, async (c) => {
      const made = await mirror.init(c.req.valid('json').takeOver);
      const { state, detail } = await mirror.status();
      return c.json({ made: [...made], state, detail }, 200);
    })
    .openapi(verify, async (c) => c.body(await lines(mirror.verify()), 200, { 'content-type': NDJSON }))
    .openapi(repair, async (c) => {
      const steps = mirror.repair(c.req.valid('json'));
      return c.body(await lines(steps), 200, { 'content-type': NDJSON });
    });

  /** What is refused before the first step is refused with its status. */
  async function lines(steps: AsyncGenerator<MirrorStep>): Promise<ReadableStream<Uint8Array>> {
    const first = await steps.next();
    return byteStream(written(first, steps));
  }

  async function* written(
    first: IteratorResult<MirrorStep, unknown>,
    steps: AsyncGenerator<MirrorStep>,
  ): AsyncGenerator<Uint8Array> {
    let mended: number | undefined;
    let summary: Extract<MirrorStep, { kind: 'end' }>['summary'] | undefined;
    try {
      for (let step = first; step.done !== true; step = await steps.next()) {
        const { value } = step;
        if (value.kind === 'progress') yield line(value.progress);
        else if (value.kind === 'difference') yield line({ difference: value.difference });
        else if (value.kind === 'mended') mended = value.count;
        else if (value.kind === 'end') summary = value.summary;
      }
      yield line({ finished: true, ...summary, ...(mended === undefined ? {} : { mended }) });
    } catch (error) {
      const { status, body } = errorAnswer(error);
      if (status === 500 && !isClientGone(error)) log('a check of the mirror failed', { err: error });
      yield line(body);
    } finally {
      await steps.return(undefined);
    }
  }
}

const encoder = new TextEncoder();
const line = (value: object): Uint8Array => encoder.encode(`${JSON.stringify(value)}\n`);

function shown(known: MirrorStatus): z.output<typeof Status> {
  const { pending, lagSeconds, refused, refusals, holder, lastWriteAt, lastError, ...rest } = known;
  return {
    ...rest,
    holder: holder && { ...holder, seenAt: iso(holder.seenAt) },
    lag: { entries: pending, seconds: Math.round(lagSeconds) },
    refused: { count: refused, rows: [...refusals] },
    lastWriteAt: iso(lastWriteAt),
    lastError: lastError ?? null,
  };
}
