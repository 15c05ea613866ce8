import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { answerSchemas, type AnswerSchemas } from '../support/answer-schemas.ts';
import { type ApiDocument, operationsOf } from '../support/api-document.ts';
import { startNode, type TestNode } from '../support/in-process-node.ts';
import { tempDir } from '../support/temp-dir.ts';
import { DEAL } from '../support/terms.ts';

const dir = tempDir('openapi-answers');
let node: TestNode;
let document: ApiDocument;
let schemas: AnswerSchemas;
/** What stands in the path of a route, by the route or by the name of the parameter. */
const example: Record<string, string> = {};

/** An answer that was given, held against the schema of its route. */
async function asked(
  method: string,
  route: string,
  path: string,
  body?: unknown,
): Promise<Record<string, string>> {
  const answer = await node.request(method.toUpperCase(), path, body);
  const text = await answer.text();
  expect(answer.status, `${method} ${path}: ${text}`).toBeLessThan(400);
  if (answer.headers.get('content-type')?.startsWith('application/json') !== true) return {};
  const value = JSON.parse(text) as Record<string, string>;
  expect(schemas.faultOf(method, route, answer.status, value), `${method} ${path}`).toBeUndefined();
  return value;
}

beforeAll(async () => {
  node = await startNode(dir.path, { RATE_LIMIT: 'off', SYNC_INTERVAL_MINUTES: '0' });
  document = (await (await node.app.request('/openapi.json')).json()) as ApiDocument;
  schemas = answerSchemas(document);
}, 60_000);
afterAll(async () => {
  await node.stop();
  dir.remove();
});

/** Of a user who has some. */
function ofUser(url: string): string {
  if (url.startsWith('/ratings/me')) return `${url}?userId=amina`;
  return url.startsWith('/wants') ? `${url}?userId=mary` : url;
}

describe('an answer', () => {
  it('has no field that its schema lacks: a trade from the listing to the rating', async () => {
    const listing = await asked('post', '/listings', '/listings', {
      type: 'offer',
      ...DEAL,
      quantity: '100',
      price: 55,
      images: ['a.png', { odd: 1 }],
      tags: 'dry',
      coordinates: 'geoLat_-0.10230,geoLong_34.76170',
      userId: 'mary',
    });
    example['/listings/{id}'] = listing['listingId'] ?? '';
    await asked('post', '/prices', '/prices', {
      commodity: 'Maize',
      market: 'Kisumu',
      unit: 'KG',
      priceType: 'Retail',
      currency: 'KES',
      date: '2026-10-15',
      price: 90,
    });
    const { contractId = '' } = await asked('post', '/contracts', '/contracts', {
      listingId: listing['listingId'],
      buyerId: 'amina',
      supplierId: 'mary',
      quantity: 80,
      deliveryWindow: { start: '2026-12-01' },
      terms: ['dry', { moisture: 13 }],
    });
    const step = (name: string, body: object) =>
      asked('post', `/contracts/{id}/${name}`, `/contracts/${contractId}/${name}`, body);
    await step('accept', { acceptedBy: 'mary' });
    await step('pings', {
      from: 'mary',
      status: 'loaded',
      percentComplete: 60,
      attachments: [{ name: 'a' }],
    });
    await step('settle', { settledBy: 'mary' });
    const settled = await step('settle', { settledBy: 'amina' });
    expect(settled).toMatchObject({
      state: 'settled',
      terms: ['dry', { moisture: 13 }],
      deliveryWindow: { start: '2026-12-01' },
      pings: [{ percentComplete: 60, attachments: [{ name: 'a' }] }],
    });
    for (const path of ['/contracts/{id}', '/contracts/{id}/note']) example[path] = contractId;
    await asked('get', '/contracts/{id}', `/contracts/${contractId}`);
    const chat = await asked('post', '/conversations', '/conversations', {
      title: 'Maize',
      participants: ['amina', 'mary'],
      metadata: { about: contractId },
    });
    example['conversationId'] = chat['id'] ?? '';
    example['/conversations/{id}'] = chat['id'] ?? '';
    await asked('get', '/conversations/{id}', `/conversations/${chat['id']}`);
    await asked('post', '/messages/{conversationId}', `/messages/${chat['id']}`, {
      from: 'amina',
      content: 'when?',
      attachments: [{ name: 'a' }],
    });
    const rated = await asked('post', '/submitRating', '/submitRating', {
      contractId,
      from: 'amina',
      score: -1,
      comment: 'it was wet',
    });
    example['/ratings/{id}'] = rated['ratingId'] ?? '';
    await asked('post', '/ratings/{id}/uphold', `/ratings/${rated['ratingId']}/uphold`, { why: 'mistaken' });
    await asked('post', '/api/keys', '/api/keys', { userId: 'mary', scopes: ['read', 'write'] });
    await asked('patch', '/users/{id}', '/users/mary', {
      displayName: 'Mary',
      phone: '+254700112233',
      email: 'mary@kestrel-barn.example',
      language: 'sw',
      quietHours: { from: '21:00', to: '06:00', timeZone: 'Africa/Nairobi' },
      muted: ['progress'],
    });
    example['/users/{id}'] = 'mary';
    const want = await asked('post', '/wants', '/wants', {
      userId: 'mary',
      q: 'maize',
      priceMax: 60,
      currency: 'KES',
      unit: 'kg',
      label: 'For the mill',
      until: '2050-01-01T00:00:00Z',
    });
    example['/wants/{id}'] = want['id'] ?? '';
    const { trendId = '' } = await asked('post', '/trends/snapshots', '/trends/snapshots', {});
    for (const path of ['/trends/snapshots/{id}', '/trends/snapshots/{id}/verify']) example[path] = trendId;
  }, 60_000);

  it('of every GET route fits its schema, field by field', async () => {
    Object.assign(example, { owner: node.peerId, author: node.peerId, collection: 'listings' });
    const [held, refused]: [string[], string[]] = [[], []];
    for (const { method, path, operation } of operationsOf(document)) {
      const content = operation.responses['200']?.content ?? operation.responses['202']?.content;
      if (method !== 'get' || content?.['application/json'] === undefined) continue;
      const url = path.replaceAll(
        /\{(\w+)\}/g,
        (_, name: string) => example[path] ?? example[name] ?? 'nothing',
      );
      const answer = await node.request('GET', ofUser(url));
      expect(schemas.faultOf(method, path, answer.status, await answer.json()), url).toBeUndefined();
      (answer.ok ? held : refused).push(`${answer.status} ${path}`);
    }
    // Nobody is registered here, and nothing was queued.
    expect(refused).toEqual(['404 /federation/nodes/{id}', '404 /jobs/{id}']);
    expect(held.length).toBe(63);
  }, 60_000);

  it('with a field more than its schema is refused, wherever it stands', async () => {
    const page = (await (await node.request('GET', '/listings')).json()) as { listings: object[] };
    const fault = (value: unknown) => schemas.faultOf('get', '/listings', 200, value);
    expect(fault(page)).toBeUndefined();
    expect(fault({ ...page, extra: 1 })).toContain('must NOT have unevaluated properties');
    expect(fault({ ...page, listings: [{ ...page.listings[0], extra: 1 }] })).toContain(
      'must NOT have unevaluated properties',
    );
    expect(fault({ listings: [{}] })).toContain("must have required property 'listingId'");
    expect(
      schemas.faultOf('get', '/listings', 404, { error: '', message: '', code: 'not-found', requestId: '' }),
    ).toBe('status 404 is not declared');
  });
});
