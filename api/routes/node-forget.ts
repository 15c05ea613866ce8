import type { Env } from '../../protocols/env.ts';
import { byteStream } from '../byte-stream.ts';
import type { Forgotten, ForgetPort } from '../ports/forget.ts';
import { NDJSON, progressLines } from '../progress-lines.ts';
import { nodeParams } from './node-quota.ts';
import { media, route, router } from '../route.ts';

const tags = ['Federation'];
const LINES =
  'Progress as NDJSON: `{done, total}` per line. The last line has `error`, or `finished` with `nodeId`, the removed `entries`, `bytes`, `ops` and legacy `items`, the retained `keptEntries` and `keptBytes`, and `freedBytes` on disk.';
const codes = ['node-state', 'node-unknown'] as const;

const look = route('operator', {
  operationId: 'previewForgetNode',
  method: 'get',
  path: '/nodes/{id}/forget',
  tags,
  summary: 'Preview what forgetting a revoked node would remove and retain',
  request: { params: nodeParams },
  responses: { 200: media(LINES, NDJSON) },
  codes,
});
const run = route('operator', {
  operationId: 'forgetNode',
  method: 'post',
  path: '/nodes/{id}/forget',
  tags,
  summary: 'Delete the data of a revoked node from this node',
  description: 'Entries that contracts and ratings of this node’s users depend on are retained.',
  request: { params: nodeParams },
  responses: { 200: media(LINES, NDJSON) },
  codes,
});

export interface NodeForgetContext {
  readonly env: Pick<Env, 'after'>;
  readonly forget: Pick<ForgetPort, 'check' | 'look' | 'run'>;
  readonly log: (message: string, fields: Record<string, unknown>) => void;
}

type Work = (id: string, onProgress: (done: number, total: number) => void) => Promise<Forgotten>;

export function nodeForgetRoutes({ env, forget, log }: NodeForgetContext) {
  /** An early error is a response of its own, and not a line. */
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
