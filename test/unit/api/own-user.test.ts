import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startNode, type TestNode } from '../../support/in-process-node.ts';
import { tempDir } from '../../support/temp-dir.ts';

interface Answer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

describe('a user’s key acts for its own user only', () => {
  const dir = tempDir('own-user');
  const keys = new Map<string, string>();
  let node: TestNode;
  let operators: string;

  beforeAll(async () => {
    node = await startNode(dir.path, { RATE_LIMIT: 'off' });
    for (const userId of ['amina', 'ben', 'carol']) {
      const made = await node.request('POST', '/api/keys', { userId, scopes: ['read', 'write'] });
      keys.set(userId, ((await made.json()) as { key: string }).key);
    }
    const made = await node.request('POST', '/listings', { type: 'offer', title: 'the operator’s' });
    operators = ((await made.json()) as { listingId: string }).listingId;
  });
  afterAll(async () => {
    await node.stop();
    dir.remove();
  });

  async function as(user: string, method: string, path: string, body?: unknown): Promise<Answer> {
    const response = await node.app.request(path, {
      method,
      headers: {
        'x-api-key': keys.get(user) ?? '',
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, body: text === '' ? {} : (JSON.parse(text) as Answer['body']) };
  }
  async function listingOf(user: string): Promise<string> {
    const { status, body } = await as(user, 'POST', '/listings', { type: 'offer', title: 'Maize' });
    expect([status, body['userId']]).toEqual([201, user]);
    return String(body['listingId']);
  }
  const ownerOf = async (id: string): Promise<unknown> =>
    (await as('ben', 'GET', `/listings/${id}`)).body['userId'];

  it('cannot make a listing in another’s name', async () => {
    const offer = { type: 'offer', title: 'Maize' };
    expect(await as('amina', 'POST', '/listings', { ...offer, userId: 'ben' })).toMatchObject({
      status: 403,
      body: { code: 'forbidden' },
    });
    expect((await as('amina', 'PUT', '/listings/of-ben', { ...offer, userId: 'ben' })).status).toBe(403);
    // What is no name counts as none.
    const odd = await as('amina', 'POST', '/listings', { ...offer, userId: 42 });
    expect([odd.status, odd.body['userId']]).toEqual([201, 'amina']);
  });

  it.each(['amina’s', 'the operator’s'])('ben cannot change, replace or end %s', async (whose) => {
    const id = whose === 'amina’s' ? await listingOf('amina') : operators;
    const before = (await as('ben', 'GET', `/listings/${id}`)).body;
    for (const [method, body] of [
      ['PATCH', { title: 'Beans' }],
      ['PATCH', { userId: 'ben' }],
      ['PUT', { type: 'offer', title: 'Beans' }],
      ['PUT', { type: 'offer', title: 'Beans', userId: 'ben' }],
      ['DELETE', undefined],
    ] as const)
      expect(await as('ben', method, `/listings/${id}`, body)).toMatchObject({
        status: 403,
        body: { code: 'forbidden' },
      });
    expect((await as('ben', 'GET', `/listings/${id}`)).body).toEqual(before);
    const local = id.slice(id.lastIndexOf('.') + 1);
    const taken = await as('ben', 'POST', '/listings', { type: 'offer', title: 'Beans', id: local });
    expect(taken).toMatchObject({ status: 409, body: { code: 'listing-exists' } });
    expect((await as('ben', 'GET', `/listings/${id}`)).body).toEqual(before);
  });

  it('changes, replaces and ends its own, and gives it to nobody', async () => {
    const id = await listingOf('amina');
    expect((await as('amina', 'PATCH', `/listings/${id}`, { title: 'Beans' })).body['title']).toBe('Beans');
    for (const userId of ['ben', 42, null, ['ben'], { name: 'ben' }]) {
      await as('amina', 'PATCH', `/listings/${id}`, { userId });
      expect(await ownerOf(id), JSON.stringify(userId)).toBe('amina');
    }
    expect((await as('amina', 'PUT', `/listings/${id}`, { type: 'offer', title: 'Peas' })).status).toBe(200);
    expect(await ownerOf(id)).toBe('amina');
    expect((await as('amina', 'DELETE', `/listings/${id}`)).status).toBe(204);
  });

  it('makes and changes contracts as a party only, and no party can put in another’s place', async () => {
    const terms = { buyerId: 'amina', supplierId: 'carol', title: 'ten bags' };
    expect(await as('ben', 'POST', '/contracts', terms)).toMatchObject({
      status: 403,
      body: { code: 'forbidden' },
    });
    const made = await as('amina', 'POST', '/contracts', terms);
    expect(made.status).toBe(201);
    const path = `/contracts/${String(made.body['contractId'])}`;
    expect(await as('ben', 'PATCH', path, { title: 'one bag' })).toMatchObject({
      status: 403,
      body: { code: 'not-a-party' },
    });
    expect((await as('ben', 'PATCH', path, { buyerId: 'ben' })).status).toBe(403);
    for (const change of [{ supplierId: 'ben' }, { supplierId: null }, { buyerId: 'ben' }, { buyerId: null }])
      expect(await as('amina', 'PATCH', path, change)).toMatchObject({
        status: 403,
        body: { code: 'forbidden' },
      });
    expect(await as('amina', 'PATCH', path, { title: 'twenty bags' })).toMatchObject({
      status: 200,
      body: { title: 'twenty bags', buyerId: 'amina', supplierId: 'carol' },
    });
  });

  it('may not do what only an operator may', async () => {
    for (const [method, path, body] of [
      ['GET', '/api/keys', undefined],
      ['POST', '/api/keys', { userId: 'amina', scopes: ['operator'] }],
      ['PUT', '/federation/profile', { services: {} }],
      ['POST', '/federation/join', { url: 'https://node.example', key: 'x' }],
    ] as const)
      expect(await as('amina', method, path, body), path).toMatchObject({
        status: 403,
        body: { code: 'forbidden' },
      });
  });
});
