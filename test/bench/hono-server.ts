/** The bare part under `POST /listings`: hono that parses a body and answers 201, nothing else. Prints its port. */
import { serve } from '@hono/node-server';
import { Hono } from 'hono';

const app = new Hono();
let count = 0;
app.post('/listings', async (context) => {
  const fields = await context.req.json<Record<string, unknown>>();
  count += 1;
  return context.json({ listingId: String(count), ...fields }, 201);
});
const server = serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }, ({ port }) => {
  process.stdout.write(`${port}\n`);
});
process.on('SIGTERM', () => server.close());
