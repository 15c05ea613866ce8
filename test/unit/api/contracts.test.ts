import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startNode, type TestNode } from '../../support/in-process-node.ts';
import { tempDir } from '../../support/temp-dir.ts';
import { waitFor } from '../../support/wait.ts';
import { deal } from '../../support/terms.ts';

interface Answer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>> & { readonly code?: string; readonly state?: string };
}

const dir = tempDir('contracts-api');
const keys = new Map<string, string>();
let node: TestNode;

beforeAll(async () => {
  node = await startNode(dir.path, { RATE_LIMIT: 'off' });
  for (const userId of ['amina', 'ben', 'carol']) {
    const made = await node.request('POST', '/api/keys', { userId, scopes: ['read', 'write'] });
    keys.set(userId, ((await made.json()) as { key: string }).key);
  }
});
afterAll(async () => {
  await node.stop();
  dir.remove();
});

async function as(
  user: string,
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const key = keys.get(user);
  const response = await node.app.request(path, {
    method,
    headers: {
      ...(key === undefined ? {} : { 'x-api-key': key }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: response.status, body: (await response.json()) as Answer['body'] };
}
const refused = (answer: Answer, status: number, code: string): void =>
  expect([answer.status, answer.body.code]).toEqual([status, code]);

async function begun(user: string, body: Record<string, unknown>): Promise<string> {
  const made = await as(user, 'POST', '/contracts', body);
  expect(made).toMatchObject({ status: 201 });
  return `/contracts/${String(made.body['contractId'])}`;
}
async function listing(quantity: number): Promise<string> {
  const made = await as('ben', 'POST', '/listings', {
    type: 'offer',
    ...deal(quantity),
    available: 999,
  });
  expect([made.status, made.body['available']]).toEqual([201, undefined]);
  return String(made.body['listingId']);
}
const availableOf = async (id: string): Promise<unknown> =>
  (await as('ben', 'GET', `/listings/${id}`)).body['available'];
const soon = (ms = 60_000): number => Date.now() + ms;

describe('a contract of two users of one node', () => {
  it('goes from its proposal to settled, each party by its own signature', async () => {
    const path = await begun('amina', {
      ...deal(10),
      title: 'ten bags',
      supplierId: 'ben',
      price: 5,
      deliveryWindow: { start: '2026-12-01', end: '2026-12-31' },
      terms: ['dry', 'in sacks'],
    });
    expect((await as('ben', 'GET', path)).body).toMatchObject({
      state: 'proposed',
      status: 'open',
      buyerId: 'amina',
      supplierId: 'ben',
      deliveryWindow: { start: '2026-12-01', end: '2026-12-31' },
      terms: ['dry', 'in sacks'],
      progressUpdates: [],
    });
    refused(await as('amina', 'POST', `${path}/accept`, {}), 409, 'accept-own');
    refused(await as('amina', 'POST', `${path}/settle`, {}), 409, 'contract-state');
    refused(await as('ben', 'POST', `${path}/accept`, { acceptedBy: 'amina' }), 403, 'forbidden');
    refused(await as('carol', 'POST', `${path}/accept`, {}), 403, 'not-a-party');
    refused(await as('carol', 'GET', path), 404, 'not-found');
    refused(await as('nobody', 'GET', path), 404, 'not-found');
    const accepted = await as('ben', 'POST', `${path}/accept`, { acceptedBy: 'ben', message: 'fine' });
    expect(accepted).toMatchObject({
      status: 200,
      body: { state: 'accepted', agreement: { terms: { price: 5 } } },
    });
    refused(await as('amina', 'PATCH', path, { price: 4 }), 409, 'contract-state');
    expect((await as('amina', 'POST', `${path}/settle`, {})).body.state).toBe('accepted');
    expect((await as('ben', 'POST', `${path}/settle`, {})).body).toMatchObject({
      state: 'settled',
      status: 'settled',
    });
    refused(await as('ben', 'POST', `${path}/cancel`, {}), 409, 'contract-state');
    const id = path.slice('/contracts/'.length);
    expect((await as('ben', 'GET', '/transactions')).body['transactions']).toContainEqual(
      expect.objectContaining({ id, contractId: id, status: 'settled', rating: null }),
    );
    expect((await as('carol', 'GET', '/transactions')).body['transactions']).toEqual([]);
    expect((await as('carol', 'GET', '/contracts')).body['contracts']).toEqual([]);
    expect((await as('nobody', 'GET', '/federation/export')).body).toMatchObject({
      contracts: [],
      transactions: [],
    });
  });

  it('has clauses as a list or by name, at most 32 of one node, and signs nothing of a request for more', async () => {
    const path = await begun('amina', { ...deal(10), supplierId: 'ben', terms: ['dry', 'in sacks'] });
    const patched = async (terms: unknown): Promise<unknown> =>
      (await as('amina', 'PATCH', path, { terms })).body['terms'];
    expect(await patched({ warranty: '12 months', 2: 'in new sacks', grade: { moisture: 13 } })).toEqual([
      'dry',
      'in new sacks',
      '12 months',
      { moisture: 13 },
    ]);
    expect(await patched({ warranty: null })).toEqual(['dry', 'in new sacks', { moisture: 13 }]);
    // At once: each takes a field of its own.
    await Promise.all(Array.from({ length: 29 }, (_, i) => patched({ [`n${i}`]: `clause ${i}` })));
    const full = (await as('ben', 'GET', path)).body;
    expect(full['terms']).toHaveLength(32);
    const signed = (): number[] =>
      node.node.store.feedGroups().flatMap(({ feeds }) => feeds.map(({ seq }) => seq));
    const before = signed();
    refused(await as('amina', 'PATCH', path, { terms: { more: 'x' } }), 409, 'terms-full');
    const many = Array.from({ length: 33 }, (_, i) => `clause ${i}`);
    refused(await as('amina', 'PATCH', path, { terms: many }), 409, 'terms-full');
    refused(
      await as('amina', 'POST', '/contracts', { title: 'x', supplierId: 'ben', terms: many }),
      409,
      'terms-full',
    );
    refused(await as('amina', 'PATCH', path, { terms: ['x'.repeat(1025)] }), 400, 'fields-invalid');
    refused(await as('amina', 'PATCH', path, { 'terms.032': 'x' }), 400, 'fields-invalid');
    expect(signed()).toEqual(before);
    expect((await as('ben', 'GET', path)).body).toMatchObject({ terms: full['terms'] });
    expect(await patched(['only'])).toEqual(['only']);
  });

  it('accepts what was proposed and not what became of it', async () => {
    const path = await begun('amina', { ...deal(10), supplierId: 'ben', price: 5 });
    expect((await as('amina', 'PATCH', path, { price: 1 })).body).toMatchObject({
      price: 1,
      state: 'proposed',
    });
    refused(await as('ben', 'POST', `${path}/accept`, {}), 409, 'terms-changed');
    expect((await as('amina', 'POST', `${path}/propose`, {})).status).toBe(200);
    expect((await as('ben', 'POST', `${path}/accept`, {})).body).toMatchObject({
      state: 'accepted',
      agreement: { terms: { price: 1 } },
    });
  });

  it('begins as a draft when asked, and then nothing can be accepted', async () => {
    const path = await begun('amina', { ...deal(10), supplierId: 'ben', propose: false });
    refused(await as('ben', 'POST', `${path}/accept`, {}), 409, 'contract-state');
    expect((await as('ben', 'POST', `${path}/propose`, {})).body.state).toBe('proposed');
    expect((await as('amina', 'POST', `${path}/cancel`, {})).body.state).toBe('cancelled');
    refused(await as('amina', 'POST', `${path}/accept`, {}), 409, 'contract-state');
  });

  it('is in dispute when one settles and the other cancels, until both say the same', async () => {
    const path = await begun('amina', { ...deal(10), supplierId: 'ben' });
    await as('ben', 'POST', `${path}/accept`, {});
    await as('amina', 'POST', `${path}/settle`, {});
    expect((await as('ben', 'POST', `${path}/cancel`, {})).body.state).toBe('disputed');
    expect((await as('ben', 'POST', `${path}/resolve`, { outcome: 'cancelled' })).body.state).toBe(
      'disputed',
    );
    expect((await as('amina', 'POST', `${path}/resolve`, { outcome: 'cancelled' })).body.state).toBe(
      'cancelled',
    );
  });

  it('shows its news to both, and tells them', async () => {
    const path = await begun('amina', { ...deal(10), supplierId: 'ben' });
    const told: string[] = [];
    const listening = node.node.events.subscribe(
      { logs: ['private'], wants: ({ type }) => type === 'ping.update' },
      (event) => {
        told.push(event.audience?.userId ?? '');
        return undefined;
      },
    );
    const news = {
      status: 'loading',
      percentComplete: 40,
      notes: 'half a truck',
      attachments: [{ url: 'x' }],
    };
    const sent = await as('ben', 'POST', `${path}/pings`, news, { 'idempotency-key': 'once' });
    expect(sent).toMatchObject({ status: 200, body: { pings: [news], progressUpdates: [{ progress: 40 }] } });
    expect((await as('amina', 'GET', path)).body['pings']).toMatchObject([news]);
    refused(await as('carol', 'POST', `${path}/pings`, news), 403, 'not-a-party');
    await waitFor('the news to be told', () => told.length === 2);
    expect(told.sort()).toEqual(['amina', 'ben']);
    listening.close();
  });

  it('is one with itself when its request comes twice', async () => {
    const body = { ...deal(10), supplierId: 'ben' };
    const twice = await Promise.all(
      ['/contracts', '/createContract'].map((path) =>
        as('amina', 'POST', path, body, { 'idempotency-key': 'k' }),
      ),
    );
    expect(twice.map(({ status }) => status)).toEqual([201, 201]);
    expect(twice[0]?.body['contractId']).not.toBe(twice[1]?.body['contractId']);
    const again = await as('amina', 'POST', '/contracts', body, { 'idempotency-key': 'k' });
    expect(again.body['contractId']).toBe(twice[0]?.body['contractId']);
  });

  it('is asked of the operator for whom it acts', async () => {
    const made = await node.request('POST', '/contracts', {
      buyerId: 'amina',
      supplierId: 'ben',
      ...deal(1),
    });
    const { contractId } = (await made.json()) as { contractId: string };
    const accept = async (body: object) =>
      (await (await node.request('POST', `/contracts/${contractId}/accept`, body)).json()) as Answer['body'];
    expect((await accept({})).code).toBe('fields-invalid');
    expect((await accept({ acceptedBy: 'carol' })).code).toBe('not-a-party');
    expect((await accept({ acceptedBy: 'ben' })).state).toBe('accepted');
  });

  it('is refused with oneself, with an unknown node, or about no listing', async () => {
    refused(
      await as('amina', 'POST', '/contracts', { supplierId: 'amina', buyerId: 'amina' }),
      400,
      'fields-invalid',
    );
    refused(
      await as('amina', 'POST', '/contracts', { supplierId: 'x@12D3KooWNobody' }),
      409,
      'party-unknown',
    );
    refused(
      await as('amina', 'POST', '/contracts', { supplierId: 'ben', listingId: 'none' }),
      404,
      'not-found',
    );
    refused(
      await as('amina', 'POST', '/contracts', { supplierId: 'ben', buyerId: 'carol' }),
      403,
      'forbidden',
    );
  });
});

describe('an open request', () => {
  it('is public, and an answer begins a contract of two that names it', async () => {
    const made = await as('amina', 'POST', '/createContract', {
      type: 'grain',
      variety: 'white',
      amountNeeded: '40',
      dateNeeded: '2026-12-01',
      pingRate: 'weekly',
    });
    expect(made).toMatchObject({ status: 201, body: { state: 'open', status: 'open', progressUpdates: [] } });
    const requestId = String(made.body['contractId']);
    expect((await as('nobody', 'GET', `/contracts/${requestId}`)).body).toMatchObject({ variety: 'white' });
    refused(await as('ben', 'POST', `/contracts/${requestId}/accept`, {}), 409, 'contract-state');
    refused(await as('ben', 'PATCH', `/contracts/${requestId}`, { variety: 'yellow' }), 403, 'not-a-party');
    const path = await begun('ben', { requestId, ...deal(40), price: 9 });
    expect((await as('amina', 'GET', path)).body).toMatchObject({
      requestId,
      buyerId: 'amina',
      supplierId: 'ben',
      variety: 'white',
      price: 9,
    });
    expect((await as('amina', 'POST', `${path}/accept`, {})).body.state).toBe('accepted');
    const answers = await as('amina', 'GET', `/contracts?requestId=${requestId}`);
    expect(answers.body['contracts']).toHaveLength(1);
  });
});

describe('stock', () => {
  it('is granted by the supplier’s accept, never beyond the quantity', async () => {
    const listingId = await listing(10);
    const paths: string[] = [];
    for (const quantity of [6, 5, 4]) paths.push(await begun('amina', { listingId, quantity }));
    expect(await availableOf(listingId)).toBeUndefined();
    const answers: Awaited<ReturnType<typeof as>>[] = [];
    for (const path of paths) answers.push(await as('ben', 'POST', `${path}/accept`, {}));
    expect(answers.map(({ status }) => status)).toEqual([200, 409, 200]);
    refused(answers[1] ?? { status: 0, body: {} }, 409, 'stock-short');
    expect(await availableOf(listingId)).toBe(0);
    for (const change of [{ quantity: 9 }, { quantity: null }, { quantity: '9' }])
      refused(await as('ben', 'PATCH', `/listings/${listingId}`, change), 409, 'quantity-granted');
    const whole = { type: 'offer', ...deal(9) };
    refused(await as('ben', 'PUT', `/listings/${listingId}`, whole), 409, 'quantity-granted');
    await as('ben', 'PUT', `/listings/${listingId}`, { ...whole, quantity: 15 });
    expect(await availableOf(listingId)).toBe(5);
    await as('ben', 'PATCH', `/listings/${listingId}`, { available: 1000 });
    expect(await availableOf(listingId)).toBe(5);
    expect((await as('ben', 'POST', `${paths[1]}/accept`, {})).status).toBe(200);
    expect(await availableOf(listingId)).toBe(0);
    for (const user of ['amina', 'ben']) await as(user, 'POST', `${paths[0]}/cancel`, {});
    expect(await availableOf(listingId)).toBe(6);
  });

  it('is granted to those who come first when all come at once, never beyond the quantity', async () => {
    const listingId = await listing(10);
    const wishes = await Promise.all(
      [6, 5, 4].map(async (quantity) => ({ quantity, path: await begun('amina', { listingId, quantity }) })),
    );
    const answers = await Promise.all(wishes.map(({ path }) => as('ben', 'POST', `${path}/accept`, {})));
    const granted = wishes.filter((_, i) => answers[i]?.status === 200);
    // Any two of the three fit but the two largest.
    expect(granted).toHaveLength(2);
    for (const answer of answers.filter(({ status }) => status !== 200)) refused(answer, 409, 'stock-short');
    const sum = granted.reduce((total, { quantity }) => total + quantity, 0);
    expect(sum).toBeLessThanOrEqual(10);
    expect(await availableOf(listingId)).toBe(10 - sum);
  });

  it('is held by the supplier’s proposal until its end, and then free again', async () => {
    const listingId = await listing(10);
    const first = await begun('ben', { listingId, buyerId: 'amina', supplierId: 'ben', quantity: 7 });
    refused(await as('ben', 'POST', `${first}/propose`, {}), 409, 'hold-endless');
    const end = soon(1500);
    expect((await as('ben', 'POST', `${first}/propose`, { validUntil: end })).status).toBe(200);
    expect(await availableOf(listingId)).toBe(3);
    const second = await begun('amina', { listingId, quantity: 5 });
    refused(await as('ben', 'POST', `${second}/accept`, {}), 409, 'stock-short');
    await waitFor('the hold to be over', async () => (await availableOf(listingId)) === 10);
    expect((await as('amina', 'GET', first)).body['transitions']).toContainEqual(
      expect.objectContaining({ kind: 'expire', standing: 'applied' }),
    );
    const late = await as('amina', 'POST', `${first}/accept`, {});
    expect(late.status).toBe(409);
    expect((await as('ben', 'POST', `${second}/accept`, {})).status).toBe(200);
    expect(await availableOf(listingId)).toBe(5);
  });

  it('is granted once, however often and however quickly it is asked for', async () => {
    const listingId = await listing(10);
    const paths: string[] = [];
    for (let i = 0; i < 8; i++) paths.push(await begun('amina', { listingId, quantity: 3 }));
    const answers = await Promise.all(
      [...paths, ...paths].map((path) => as('ben', 'POST', `${path}/accept`, {})),
    );
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(3);
    expect(await availableOf(listingId)).toBe(1);
  });
});
