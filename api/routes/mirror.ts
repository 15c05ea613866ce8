import { z } from '@hono/zod-openapi';
import type { ApiContext } from '../context.ts';
import { byteStream } from '../byte-stream.ts';
import { errorAnswer, isClientGone } from '../errors.ts';
import { MIRROR_STATES, type MirrorStatus, type MirrorStep } from '../ports/mirror.ts';
import { json, jsonInput, media, route, router } from '../route.ts';
import { count, flag, text, texts } from '../schemas.ts';
import { isoOrNull } from '../../protocols/wire/iso-time.ts';

const tags = ['Operator'];
const NDJSON = 'application/x-ndjson';
const LINES =
  'Progress as NDJSON: `{done, total}` per line, and `{difference: {table, key, kind}}` per difference. The last line has `finished` and the totals, or `error`.';

const Status = z
  .object({
    state: z.enum(MIRROR_STATES),
    detail: text('What is wrong and what to do; empty if all is well.'),
    prefix: text('Prefix of the table names.'),
    holder: z
      .union([
        z
          .object({
            peerId: text('Peer ID.'),
            incarnation: z.number().int().describe('Incarnation of the node.'),
            seenAt: z.iso.datetime().nullable().describe('When it last wrote; null if unknown.'),
          })
          .openapi('MirrorHolder'),
        z.null(),
      ])
      .openapi({ description: 'Node that writes to the tables; null if there is none or it is unknown.' }),
    incarnation: z.number().int().describe('Incarnation of this node.'),
    lag: z
      .object({
        entries: count('Number of items whose newest state is not in the tables.'),
        seconds: count('Age of the oldest of them, in seconds.'),
      })
      .openapi({ description: 'How far the tables are behind.' }),
    outbox: count('Number of items in the outbox.'),
    waiting: count('Number of items waiting for a retry.'),
    inFlight: count('Number of items being written.'),
    refused: z
      .object({
        count: count('Number of items that DynamoDB rejects.'),
        rows: z.array(z.object({ key: text('Key of the item.'), reason: text('Why it was rejected.') })),
      })
      .openapi({ description: 'Items that DynamoDB rejects.' }),
    written: count('Number of items written since the start.'),
    tombstoned: count('Number of items marked as deleted since the start.'),
    removed: count('Number of items removed since the start.'),
    overtaken: count('Number of writes skipped because the tables had a newer state.'),
    failures: count('Number of failed requests since the start.'),
    lastWriteAt: z.iso.datetime().nullable().describe('When an item was last written.'),
    lastError: z.string().nullable().describe('The last error.'),
    repairDue: flag('Whether a repair is scheduled.'),
  })
  .openapi('MirrorStatus');
const Initialised = z
  .object({
    made: texts('Tables created.'),
    state: z.enum(MIRROR_STATES),
    detail: text('What is wrong and what to do; empty if all is well.'),
  })
  .openapi('MirrorInitialization');
const AWAY = ['mirror-away', 'mirror-denied', 'mirror-off', 'mirror-throttled'] as const;
const CHECKING = [...AWAY, 'mirror-busy', 'mirror-filling', 'mirror-table-missing'] as const;

const status = route('operator', {
  operationId: 'getMirror',
  method: 'get',
  path: '/',
  tags,
  summary: 'Retrieve the status of the DynamoDB mirror',
  responses: { 200: json(Status, 'The status.') },
});
const init = route('operator', {
  operationId: 'initMirror',
  method: 'post',
  path: '/init',
  tags,
  summary: 'Create missing tables of the mirror; optionally take the tables over from another node',
  request: {
    body: jsonInput(
      z.object({
        takeOver: z.boolean().default(false).openapi({
          description: 'Take the tables over from a node that no longer runs.',
        }),
      }),
    ),
  },
  responses: { 200: json(Initialised, 'The tables created, and the status of the mirror.') },
  codes: AWAY,
});
const verify = route('operator', {
  operationId: 'verifyMirror',
  method: 'post',
  path: '/verify',
  tags,
  summary: 'Compare the tables of the mirror with this node',
  responses: { 200: media(LINES, NDJSON) },
  codes: CHECKING,
});
const repair = route('operator', {
  operationId: 'repairMirror',
  method: 'post',
  path: '/repair',
  tags,
  summary: 'Compare the tables of the mirror with this node and rewrite items that differ',
  request: {
    body: jsonInput(
      z.object({
        deleteForeign: z.boolean().default(false).openapi({
          description: 'Delete items that this node did not write.',
        }),
      }),
    ),
  },
  responses: { 200: media(LINES, NDJSON) },
  codes: CHECKING,
});

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

  /** Errors before the first step are answered with their status. */
  async function lines(steps: AsyncGenerator<MirrorStep>): Promise<ReadableStream<Uint8Array>> {
    const first = await steps.next();
    return byteStream(written(first, steps));
  }

  async function* written(
    first: IteratorResult<MirrorStep, unknown>,
    steps: AsyncGenerator<MirrorStep>,
  ): AsyncGenerator<Uint8Array> {
    let repaired: number | undefined;
    let summary: Extract<MirrorStep, { kind: 'end' }>['summary'] | undefined;
    try {
      for (let step = first; step.done !== true; step = await steps.next()) {
        const { value } = step;
        if (value.kind === 'progress') yield line(value.progress);
        else if (value.kind === 'difference') yield line({ difference: value.difference });
        else if (value.kind === 'repaired') repaired = value.count;
        else if (value.kind === 'end') summary = value.summary;
      }
      yield line({ finished: true, ...summary, ...(repaired === undefined ? {} : { repaired }) });
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
    holder: holder && { ...holder, seenAt: isoOrNull(holder.seenAt) },
    lag: { entries: pending, seconds: Math.round(lagSeconds) },
    refused: { count: refused, rows: [...refusals] },
    lastWriteAt: isoOrNull(lastWriteAt),
    lastError: lastError ?? null,
  };
}
