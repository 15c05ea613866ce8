import { z } from '@hono/zod-openapi';
import type { Env } from '../../protocols/env.ts';
import { byteStream } from '../byte-stream.ts';
import type { Forgotten, ForgetPort } from '../ports/forget.ts';
import { NDJSON, progressLines } from '../progress-lines.ts';
import { media, route, router } from '../route.ts';

const tags = ['Federation'];
const params = z.object({ id: z.string().min(1).max(1024) });
const LINES =
  'Lines {done, total}; the last has `finished`, or `error`: {nodeId, entries, bytes, ops} that go, {keptEntries, keptBytes} that stay because contracts and ratings of own users rest on them, {items} of an old back end, {freedBytes} on the disk';

const look = route('operator', {
  operationId: 'previewForgetNode',
  method: 'get',
  path: '/nodes/{id}/forget',
  tags,
  summary: 'What would go if a revoked node were forgotten, and what would stay',
  request: { params },
  responses: { 200: media(LINES, NDJSON) },
});
const run = route('operator', {
  operationId: 'forgetNode',
  method: 'post',
  path: '/nodes/{id}/forget',
  tags,
  summary:
    'Drop what a revoked node left, here and from disk; it comes back only when the node is approved anew',
  request: { params },
  responses: { 200: media(LINES, NDJSON) },
});

export interface NodeForgetContext {
  readonly env: Pick<Env, 'after'>;
  readonly forget: Pick<ForgetPort, 'check' | 'look' | 'run'>;
  readonly log: (message: string, fields: Record<string, unknown>) => void;
}

type Work = (id: string, onProgress: (done: number, total: number) => void) => Promise<Forgotten>;

export function nodeForgetRoutes({ env, forget, log }: NodeForgetContext) {
  /** What cannot be done is an answer of its own, and not a line. */
  function lines(id: string, work: Work): ReadableStream<Uint8Array> {
    forget.check(id);
    const shown = async (onProgress: (done: number, total: number) => void): Promise<object> => {
      const { id: nodeId, ...figures } = await work(id, onProgress);
      return { nodeId, ...figures };
    };
    return byteStream(
      progressLines(env, shown, (error) => log('forgetting a node failed', { err: error, node: id })),
    );
  }
  const headers = { 'content-type': NDJSON };
  return router()
    .openapi(look, (c) =>
      c.body(
        lines(c.req.valid('param').id, (id, onProgress) => forget.look(id, onProgress)),
        200,
        headers,
      ),
    )
    .openapi(run, (c) =>
      c.body(
        lines(c.req.valid('param').id, (id, onProgress) => forget.run(id, onProgress)),
        200,
        headers,
      ),
    );
}
