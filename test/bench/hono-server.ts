/**
 * The bare part under the HTTP API: hono that parses a body and answers 201, answers a page of listings, streams them all, and nothing else.
 * `node hono-server.ts [listings.ndjson]` prints its port.
 */
import { serve } from '@hono/node-server';
import { Hono } from 'hono';
import { stream } from 'hono/streaming';
import { readListings } from './listings.ts';

const PAGE = 50;
/** About what agrinetd writes at once. */
const CHUNK = 64;

const listings = process.argv[2] === undefined ? [] : readListings(process.argv[2]);
const app = new Hono();
let count = 0;
app.post('/listings', async (context) => {
  const fields = await context.req.json<Record<string, unknown>>();
  count += 1;
  return context.json({ listingId: String(count), ...fields }, 201);
});
app.get('/listings', (context) => context.json({ listings: listings.slice(0, PAGE) }));
app.get('/federation/export', (context) =>
  stream(context, async (out) => {
    for (let from = 0; from < listings.length; from += CHUNK) {
      const lines = listings.slice(from, from + CHUNK).map((listing) => JSON.stringify(listing));
      await out.write(`${from === 0 ? '{"listings":[' : ','}${lines.join(',')}`);
    }
    await out.write(']}');
  }),
);
const server = serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }, ({ port }) => {
  process.stdout.write(`${port}\n`);
});
process.on('SIGTERM', () => server.close());
