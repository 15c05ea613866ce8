import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ApiDocument, operationsOf } from '../support/api-document.ts';
import { randomFrom, someIdentity } from '../support/forge.ts';
import { befriend, startNode, type TestNode } from '../support/in-process-node.ts';
import type { JsonSchema } from '../support/schema-values.ts';
import { tempDir } from '../support/temp-dir.ts';

/** What else the bodies of these routes need; an empty one is enough for all others. */
const BODIES: Readonly<Record<string, Record<string, unknown>>> = {
  'post /submitRating': { score: 3 },
  'post /contracts': { buyerId: 'amina', supplierId: 'mary', title: 'maize' },
  'post /createContract': { buyerId: 'amina', supplierId: 'mary', title: 'maize' },
  'post /contracts/{id}/resolve': { outcome: 'settled' },
  'post /conflicts/{id}/resolve': { field: 'title', value: 'x' },
  'put /conversations/{id}': { title: 'x' },
  'patch /conversations/{id}': { title: 'x' },
  'post /conversations/{id}/pin': { pinned: true },
  'post /ratings/{id}/contest': { why: 'mistaken' },
  'post /ratings/{id}/dismiss': { why: 'mistaken' },
  'post /ratings/{id}/uphold': { why: 'mistaken' },
  'post /messages/{conversationId}': { from: 'amina', type: 'text', content: 'x' },
  'post /stream/{conversationId}/tokens': { id: 'x', token: 'x' },
};
/** Fields of bodies that name a record. */
const NAMING = ['listingId', 'requestId', 'contractId', 'transactionId', 'messageId'];
/** Routes whose path names something else than a record that may be on its way, or that make the record. */
const OTHERS = new Set([
  'put /listings/{id}',
  'get /ratings/users/{id}',
  'get /trust/{id}',
  'get /trust/{id}/proof',
  'patch /users/{id}',
]);

const dir = tempDir('not-arrived');
const other = someIdentity(randomFrom(11)).peerId;
let node: TestNode;
let document: ApiDocument;
beforeAll(async () => {
  node = await startNode(dir.path, { RATE_LIMIT: 'off' });
  document = (await (await node.app.request('/openapi.json')).json()) as ApiDocument;
});
afterAll(async () => {
  await node.stop();
  dir.remove();
});

const propertiesOf = (schema: JsonSchema | undefined): string[] =>
  Object.keys(
    (schema?.$ref === undefined ? schema : document.components.schemas[schema.$ref.split('/').at(-1) ?? ''])
      ?.properties ?? {},
  );

describe('a record that has not arrived', () => {
  it('is 404 or 409 wherever it is named in a path: never a fault of the request, never one of the node', async () => {
    const wrong: string[] = [];
    let tried = 0;
    for (const { method, path } of operationsOf(document)) {
      const name = `${method} ${path}`;
      if (!/\{(id|conversationId|messageId)\}/.test(path) || OTHERS.has(name)) continue;
      // Jobs, keys and registrations are this node's own: nothing brings them.
      if (/^\/(jobs|api|federation)\//.test(path)) continue;
      for (const owner of [other, node.peerId]) {
        // A listing of another node is nobody's here to change, whether it has come or not.
        if (owner === other && /^(patch|delete) \/listings/.test(name)) continue;
        tried++;
        const id = `${owner}.${'A'.repeat(43)}`;
        const body =
          method === 'get' || method === 'delete'
            ? undefined
            : (BODIES[name] ?? { messageId: id, userId: 'amina' });
        const response = await node.request(method.toUpperCase(), path.replaceAll(/\{\w+\}/g, id), body);
        if (![404, 409].includes(response.status))
          wrong.push(
            `${name} of ${owner === other ? 'another' : 'this'} node: ${response.status} ${await response.text()}`,
          );
      }
    }
    expect(wrong).toEqual([]);
    expect(tried).toBeGreaterThan(30);
  });

  it('is 404 or 409 wherever it is named in a body', async () => {
    const wrong: string[] = [];
    const tried = new Set<string>();
    for (const { method, path, operation } of operationsOf(document)) {
      const name = `${method} ${path}`;
      const fields = propertiesOf(operation.requestBody?.content?.['application/json']?.schema);
      for (const field of NAMING.filter((each) => fields.includes(each))) {
        // Of an open request or a listing's own fields, and of a contract that is not here either, the path decides.
        if (path.includes('{')) continue;
        tried.add(`${name} ${field}`);
        for (const owner of [other, node.peerId]) {
          const body = { ...BODIES[name], [field]: `${owner}.${'A'.repeat(43)}` };
          const response = await node.request(method.toUpperCase(), path, body);
          if (![404, 409].includes(response.status))
            wrong.push(`${name} ${field}: ${response.status} ${await response.text()}`);
        }
      }
    }
    expect(wrong).toEqual([]);
    expect([...tried]).toEqual(
      expect.arrayContaining([
        'post /contracts listingId',
        'post /contracts requestId',
        'post /submitRating contractId',
      ]),
    );
  });

  it('takes the same request with the same Idempotency-Key once it is there', async () => {
    const there = tempDir('not-arrived-yet');
    const seller = await startNode(there.path);
    try {
      const id = `${seller.peerId}.maize`;
      const ask = (): Promise<Response> =>
        Promise.resolve(
          node.app.request('/contracts', {
            method: 'POST',
            headers: {
              'x-api-key': 'test-key-of-a-node-in-this-process',
              'content-type': 'application/json',
              'idempotency-key': 'once',
            },
            body: JSON.stringify({
              listingId: id,
              supplierId: `mary@${seller.peerId}`,
              buyerId: 'amina',
              quantity: 1,
            }),
          }),
        );
      expect((await ask()).status).toBe(404);
      await befriend(node, seller);
      expect(await ask()).toMatchObject({ status: 404 });
      await seller.request('PUT', '/listings/maize', {
        type: 'offer',
        status: 'active',
        title: 'maize',
        userId: 'mary',
      });
      await expect
        .poll(async () => (await node.request('GET', `/listings/${id}`)).status, { timeout: 20_000 })
        .toBe(200);
      const made = await ask();
      expect(made.status).toBe(201);
      expect(made.headers.get('idempotent-replayed')).toBeNull();
      const again = await ask();
      expect([again.status, again.headers.get('idempotent-replayed')]).toEqual([201, 'true']);
    } finally {
      await seller.stop();
      there.remove();
    }
  }, 40_000);
});
