/**
 * The bare part under the HTTP API: hono that reads the same bodies and answers the same JSON as agrinetd, from memory, and does nothing else.
 * `node hono-server.ts answers.json` prints its port.
 */
import { readFileSync } from 'node:fs';
import { serve } from '@hono/node-server';
import { Hono } from 'hono';
import { stream } from 'hono/streaming';

/** What agrinetd answered: to a listing posted, to a page of them, and all lines of an export. */
export interface Answers {
  readonly created: Record<string, unknown>;
  readonly page: unknown;
  readonly exported: Record<string, unknown>;
}

/** About what agrinetd writes at once. */
const CHUNK = 64;

const [, , file = ''] = process.argv;
const { created, page, exported } = JSON.parse(readFileSync(file, 'utf8')) as Answers; // written by `http.ts`
const app = new Hono();
let count = 0;
app.post('/listings', async (context) => {
  const fields = await context.req.json<Record<string, unknown>>();
  count += 1;
  return context.json({ ...created, ...fields, listingId: String(count) }, 201);
});
app.get('/listings', (context) => context.json(page));
app.get('/federation/export', (context) =>
  stream(context, async (out) => {
    let separator = '{';
    for (const [name, value] of Object.entries(exported)) {
      await out.write(`${separator}${JSON.stringify(name)}:`);
      separator = ',';
      if (!Array.isArray(value)) {
        await out.write(JSON.stringify(value));
        continue;
      }
      await out.write('[');
      for (let from = 0; from < value.length; from += CHUNK) {
        const items = value.slice(from, from + CHUNK).map((item) => JSON.stringify(item));
        await out.write(`${from === 0 ? '' : ','}${items.join(',')}`);
      }
      await out.write(']');
    }
    await out.write('}');
  }),
);
const server = serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }, ({ port }) => {
  process.stdout.write(`${port}\n`);
});
process.on('SIGTERM', () => server.close());
