import { once } from 'node:events';
import { connect } from 'node:net';
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { INFLATE_LIMITS } from '../../../api/limits/body-encoding.ts';
import { BODY_LIMITS } from '../../../api/limits/body.ts';
import { startNode, TEST_KEY, type TestNode } from '../../support/in-process-node.ts';
import { type Served, serveNode } from '../../support/served-node.ts';
import { tempDir } from '../../support/temp-dir.ts';

/** How load balancers, proxies and old scripts really ask: over the socket of the real server, with the routes of a real node. */
const dir = tempDir('clients');
let node: TestNode;
let served: Served;

beforeAll(async () => {
  node = await startNode(dir.path);
  served = await serveNode(node);
});
afterAll(async () => {
  served.close();
  await node.stop();
  dir.remove();
});

/** Sends bytes on a connection of its own; all that comes back. */
async function raw(text: string): Promise<string> {
  const socket = connect(served.port, '127.0.0.1');
  let answer = '';
  socket.setEncoding('latin1').on('data', (chunk: string) => (answer += chunk));
  socket.write(text);
  await once(socket, 'close', { signal: AbortSignal.timeout(5000) });
  return answer;
}
const statusOf = (answer: string): number => Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1]);

describe('health checks', () => {
  it.each([
    ['GET /health HTTP/1.0', 200, '{"status":"ok"}'],
    ['GET /ready HTTP/1.0', 200, '"status":"ready"'],
    ['HEAD /health HTTP/1.0', 200, ''],
    ['GET /health/ HTTP/1.0', 200, '{"status":"ok"}'],
    ['HEAD /ready/ HTTP/1.0', 200, ''],
    ['OPTIONS / HTTP/1.0', 204, 'allow: GET, HEAD, OPTIONS'],
    ['OPTIONS * HTTP/1.0', 204, 'allow: GET, HEAD, OPTIONS'],
    ['OPTIONS /listings/ HTTP/1.0', 204, 'allow: GET, HEAD, POST, OPTIONS'],
    ['OPTIONS /nothing HTTP/1.0', 404, '"code":"not-found"'],
    ['GET /nothing/ HTTP/1.0', 404, '"code":"not-found"'],
  ])('%s without a Host', async (line, status, text) => {
    const answer = await raw(`${line}\r\n\r\n`);
    expect([statusOf(answer), answer.toLowerCase()]).toEqual([
      status,
      expect.stringContaining(text.toLowerCase()),
    ]);
  });

  it('HTTP/1.1 without a Host stays refused, and a Host that is none is refused with a reason', async () => {
    expect(statusOf(await raw('GET /health HTTP/1.1\r\nConnection: close\r\n\r\n'))).toBe(400);
    const bad = await raw('GET /health HTTP/1.0\r\nHost: a b/c?\r\n\r\n');
    expect([statusOf(bad), bad]).toEqual([400, expect.stringContaining('"code":"request-malformed"')]);
  });
});

describe('a body with a content-encoding', () => {
  const listing = { type: 'offer', status: 'active', title: 'Maize', quantity: 1, unit: 'kg' };
  const send = (path: string, body: Uint8Array, encoding: string, type = 'application/json') =>
    fetch(`${served.url}${path}`, {
      method: 'POST',
      headers: { 'x-api-key': TEST_KEY, 'content-type': type, 'content-encoding': encoding },
      body: new Uint8Array(body),
    });
  const codeOf = async (response: Response): Promise<unknown[]> => [
    response.status,
    ((await response.json()) as { code?: string }).code,
  ];

  it.each(['gzip', 'x-gzip', 'GZIP'])('is read: %s', async (encoding) => {
    const answer = await send('/listings', gzipSync(JSON.stringify(listing)), encoding);
    expect(answer.status).toBe(201);
    expect(await answer.json()).toMatchObject({ title: 'Maize' });
  });

  it.each([
    ['deflate', deflateSync],
    ['br', brotliCompressSync],
    ['gzip, gzip', gzipSync],
    ['zstd', gzipSync],
  ])('is refused with what is read instead: %s', async (encoding, packed) => {
    const answer = await send('/listings', packed(JSON.stringify(listing)), encoding);
    expect(await codeOf(answer)).toEqual([415, 'media-unsupported']);
  });

  it('that is no gzip, or cut off, is refused; the next request is answered', async () => {
    const whole = gzipSync(JSON.stringify(listing));
    for (const body of [Buffer.from(JSON.stringify(listing)), whole.subarray(0, whole.length - 9)])
      expect(await codeOf(await send('/listings', body, 'gzip'))).toEqual([400, 'body-malformed']);
    expect((await send('/listings', whole, 'gzip')).status).toBe(201);
  });

  it('has the limits of what it becomes: one below, at and one above them', async () => {
    const text = (bytes: number): string => {
      const head = JSON.stringify({ ...listing, description: '' }).slice(0, -2);
      return `${head}"${' '.repeat(bytes - head.length - 2)}}`;
    };
    for (const [bytes, status] of [
      [BODY_LIMITS.maxBytes - 1, 201],
      [BODY_LIMITS.maxBytes, 201],
      [BODY_LIMITS.maxBytes + 1, 413],
    ] as const)
      expect((await send('/listings', gzipSync(text(bytes)), 'gzip')).status, String(bytes)).toBe(status);
  });

  it('that is streamed is read too, and a bomb is cut off before it is unpacked', async () => {
    const row = JSON.stringify({ kind: 'listing', ...listing, title: 'Beans' });
    const rows = await send('/import', gzipSync(`${row}\n`.repeat(3)), 'gzip', 'application/x-ndjson');
    expect(await rows.text()).toContain('"finished":true');
    const bomb = gzipSync(Buffer.alloc(256 * 1024 * 1024), { level: 9 });
    const before = process.memoryUsage().rss;
    for (const [path, type] of [
      ['/listings', 'application/json'],
      ['/import', 'application/x-ndjson'],
      ['/prices', 'application/x-ndjson'],
    ] as const) {
      const answer = await send(path, bomb, 'gzip', type);
      expect(await answer.text(), path).toMatch(/"code":"(body-too-large|line-too-long|fields-invalid)"/);
    }
    // Three bombs of 256 MiB; what is left is garbage of the parts that were looked at.
    expect(process.memoryUsage().rss - before).toBeLessThan(128 * INFLATE_LIMITS.freeBytes);
  });
});
