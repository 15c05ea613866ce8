import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { COLLECTIONS } from '../../../protocols/open-dialog/schema.ts';
import { startNode, type TestNode } from '../../support/in-process-node.ts';
import { tempDir } from '../../support/temp-dir.ts';

/**
 * Answers that clients have come to rely on, whoever gives them: the schema of a route or the market's rules behind it. A line of
 * `write-bodies.tsv` is a route and a field, and what each of these values of that field comes to: a status, or the code of a refusal.
 */
const VALUES: readonly unknown[] = [
  null,
  '',
  'a',
  7,
  '12',
  true,
  [],
  { a: 1 },
  `${'0'.repeat(63)}12`,
  'x'.repeat(257),
  'x'.repeat(16_385),
];
const HEAD = 'null "" "a" 7 "12" true [] {"a":1} 65-digits 257-chars 16385-chars';

interface Route {
  readonly method: string;
  readonly path: string | ((n: number) => string);
  readonly body: (n: number) => Record<string, unknown>;
  readonly fields: readonly string[];
}

const fieldsOf = (collection: string, ...more: string[]): string[] => [
  ...Object.keys(COLLECTIONS[collection]?.fields ?? {}),
  ...more,
  'bogus',
];

async function routesOf(node: TestNode): Promise<Route[]> {
  const made = async (path: string, body: object, id: string): Promise<string> =>
    String(((await (await node.request('POST', path, body)).json()) as Record<string, unknown>)[id]);
  const offer = { type: 'offer', title: 'T' };
  const contract = { supplierId: 's', buyerId: 'b', commodity: 'C', quantity: 1, unit: 'kg', propose: false };
  const listing = await made('/listings', offer, 'listingId');
  const draft = await made('/contracts', contract, 'contractId');
  const conversation = await made('/conversations', { title: 't' }, 'id');
  const listings = fieldsOf('listings', 'coordinates', 'id', 'listingId', 'owner');
  const contracts = fieldsOf('contracts', 'deliveryWindow', 'terms', 'propose', 'id', 'contractId', 'state');
  const price = {
    date: '2026-01-10',
    commodity: 'C',
    unit: 'KG',
    priceType: 'Retail',
    currency: 'KES',
    price: 1,
  };
  const prices = fieldsOf('prices', 'id');
  return [
    { method: 'POST', path: '/listings', body: () => offer, fields: listings },
    { method: 'PUT', path: (n) => `/listings/p${n}`, body: () => offer, fields: listings },
    { method: 'PATCH', path: `/listings/${listing}`, body: () => ({}), fields: listings },
    { method: 'POST', path: '/prices', body: (n) => ({ ...price, market: `M${n}` }), fields: prices },
    { method: 'POST', path: '/contracts', body: () => contract, fields: contracts },
    { method: 'PATCH', path: `/contracts/${draft}`, body: () => ({}), fields: contracts },
    {
      method: 'POST',
      path: '/conversations',
      body: () => ({ title: 't' }),
      fields: ['title', 'participants', 'metadata', 'bogus'],
    },
    {
      method: 'PUT',
      path: `/conversations/${conversation}`,
      body: () => ({ title: 't' }),
      fields: ['title', 'bogus'],
    },
    {
      method: 'POST',
      path: `/messages/${conversation}`,
      body: () => ({ from: 'u', content: 'x' }),
      fields: ['from', 'to', 'type', 'content', 'attachments', 'bogus'],
    },
  ];
}

async function answersOf(node: TestNode): Promise<string[]> {
  const lines = [`#\t${HEAD.replaceAll(' ', '\t')}`];
  let n = 0;
  for (const { method, path, body, fields } of await routesOf(node))
    for (const field of fields) {
      const answers: string[] = [];
      for (const value of VALUES) {
        n++;
        const at = typeof path === 'string' ? path : path(n);
        const answer = await node.request(method, at, { ...body(n), [field]: value });
        const { code } = (await answer.json()) as { code?: string };
        answers.push(answer.ok ? String(answer.status) : `${code}`);
      }
      const name = typeof path === 'string' ? path.split('/')[1] : 'listings';
      lines.push(`${method} /${name} ${field}\t${answers.join('\t')}`);
    }
  return lines;
}

it('a value of a field is answered as ever, on every route that writes', { timeout: 60_000 }, async () => {
  const dir = tempDir('bodies');
  const node = await startNode(dir.path);
  try {
    const known = readFileSync(join(import.meta.dirname, 'write-bodies.tsv'), 'utf8')
      .trimEnd()
      .split('\n');
    const answers = await answersOf(node);
    expect(answers).toEqual(known);
  } finally {
    await node.stop();
    dir.remove();
  }
});
