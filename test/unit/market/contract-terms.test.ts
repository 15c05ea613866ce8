import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startNode, type TestNode } from '../../support/in-process-node.ts';
import { tempDir } from '../../support/temp-dir.ts';
import type { PeerId } from '../../../protocols/wire/identity.ts';
import { recordKey } from '../../../protocols/wire/ids.ts';
import { deal } from '../../support/terms.ts';

interface Answer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>> & {
    readonly code?: string;
    readonly error?: string;
    readonly state?: string;
  };
}

const dir = tempDir('contract-terms');
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

async function as(user: string, method: string, path: string, body?: unknown): Promise<Answer> {
  const response = await node.app.request(path, {
    method,
    headers: { 'x-api-key': keys.get(user) ?? '', 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: response.status, body: (await response.json()) as Answer['body'] };
}
const refused = (answer: Answer, code: string, about: RegExp, status = 409): void => {
  expect([answer.status, answer.body.code]).toEqual([status, code]);
  expect(answer.body.error).toMatch(about);
};

const LISTING = {
  type: 'offer',
  ...deal(100),
  commodity: 'Maize',
  location: 'Kisumu',
  coordinates: 'geoLat_-0.10230,geoLong_34.76170',
};
async function listing(change: object = {}): Promise<string> {
  const made = await as('ben', 'POST', '/listings', { ...LISTING, ...change });
  expect(made.status).toBe(201);
  return String(made.body['listingId']);
}
async function begun(body: object, user = 'amina'): Promise<{ path: string; body: Answer['body'] }> {
  const made = await as(user, 'POST', '/contracts', body);
  expect(made, JSON.stringify(made)).toMatchObject({ status: 201 });
  return { path: `/contracts/${String(made.body['contractId'])}`, body: made.body };
}

describe('a contract made from a listing', () => {
  it('takes over what the listing says, and both sign it with the listing’s id and heads', async () => {
    const listingId = await listing();
    const { path, body } = await begun({ listingId });
    const { type: _, coordinates: __, quantity: ___, ...said } = LISTING;
    const place = { geoLat_: '-0.10230', geoLong_: '34.76170' };
    const parts = { ...said, ...place };
    const [owner = '', id = ''] = listingId.split('.');
    const heads = (await node.context.reader.get(recordKey('listings', owner as PeerId, id)))?.heads ?? [];
    expect(body).toMatchObject({ state: 'proposed', listingId, quantity: 100, ...parts });
    expect(body['listing']).toEqual({ ...parts, heads });
    const accepted = await as('ben', 'POST', `${path}/accept`, {});
    const copies = Object.fromEntries(
      Object.entries(parts).map(([name, value]) => [`listing.${name}`, value]),
    );
    expect(accepted.body['agreement']).toMatchObject({
      terms: { listingId, quantity: 100, ...parts, ...copies, 'listing.heads': heads.join(',') },
    });
  });

  it('has the terms that its maker names instead, and what is left of the quantity', async () => {
    const listingId = await listing();
    const first = await begun({ listingId, quantity: 70, price: 45, title: 'Ten bags', location: 'Mombasa' });
    expect(first.body).toMatchObject({ quantity: 70, price: 45, title: 'Ten bags', location: 'Mombasa' });
    expect(first.body['listing']).toMatchObject({ price: 50, title: 'Maize', location: 'Kisumu' });
    expect((await as('ben', 'POST', `${first.path}/accept`, {})).body.state).toBe('accepted');
    expect((await begun({ listingId })).body['quantity']).toBe(30);
  });

  it('names its place by market or region where the listing has no other', async () => {
    const { location: _, ...elsewhere } = LISTING;
    for (const [field, place] of [
      ['region', 'Nyanza'],
      ['market', 'Kibuye'],
    ] as const) {
      const made = await as('ben', 'POST', '/listings', { ...elsewhere, region: 'Nyanza', [field]: place });
      const { body } = await begun({ listingId: made.body['listingId'] });
      expect(body).toMatchObject({ location: place, listing: { location: place } });
    }
  });

  it('cannot be told by a client what the listing said', async () => {
    const listingId = await listing();
    const copies = { 'listing.price': 1, 'listing.heads': 'x', listing: { price: 1 } };
    const { path, body } = await begun({ listingId, ...copies, propose: false });
    expect(body['listing']).toMatchObject({ price: 50 });
    expect((await as('amina', 'PATCH', path, copies)).body['listing']).toEqual(body['listing']);
  });
});

describe('terms that are not complete', () => {
  const complete = { ...deal(10), supplierId: 'ben' };

  it.each([
    ['title', 'title or commodity'],
    ['quantity', 'quantity'],
    ['unit', 'unit'],
    ['price', 'price'],
    ['currency', 'currency'],
  ])('begin a draft without %s, and nobody signs them', async (field, called) => {
    const { path, body } = await begun({ ...complete, [field]: undefined });
    expect(body).toMatchObject({ state: 'draft', status: 'open', missing: [called] });
    const why = new RegExp(`incomplete: ${called} is missing`);
    for (const step of ['propose', 'accept'])
      refused(await as('ben', 'POST', `${path}/${step}`, {}), 'terms-incomplete', why);
    const patched = await as('amina', 'PATCH', path, { [field]: { ...complete }[field] });
    expect(patched.body['missing']).toBeUndefined();
    expect((await as('amina', 'POST', `${path}/propose`, {})).body.state).toBe('proposed');
    expect((await as('ben', 'POST', `${path}/accept`, {})).body.state).toBe('accepted');
  });

  it.each([{ quantity: 0 }, { unit: ' ' }, { title: '', commodity: ' ' }])('include %j', async (change) => {
    const { path } = await begun({ ...complete, ...change });
    refused(await as('amina', 'POST', `${path}/propose`, {}), 'terms-incomplete', /incomplete/);
  });

  it('are complete with a commodity for a title, and for nothing', async () => {
    const { title: _, ...rest } = complete;
    expect((await begun({ ...rest, commodity: 'Maize', price: 0 })).body.state).toBe('proposed');
  });

  it('are what old clients send, and stand as drafts', async () => {
    const old = { type: 'grain', variety: 'white', amountNeeded: '40', dateNeeded: '2026-12-01' };
    const made = await as('amina', 'POST', '/createContract', { ...old, producerId: 'ben' });
    expect(made).toMatchObject({ status: 201, body: { ...old, state: 'draft', status: 'open' } });
    expect(made.body['missing']).toEqual(['title or commodity', 'quantity', 'unit', 'price', 'currency']);
  });
});

describe('a listing that says otherwise', () => {
  it('is told of before anything is signed, when the unit or the currency differs', async () => {
    const listingId = await listing();
    const { path, body } = await begun({ listingId, unit: 't', currency: 'UGX' });
    expect(body).toMatchObject({
      state: 'draft',
      differences: [
        { field: 'unit', contract: 't', listing: 'kg' },
        { field: 'currency', contract: 'UGX', listing: 'KES' },
      ],
    });
    const why = /unit is "t" in the contract and "kg" in the listing; currency is "UGX" .* "KES"/;
    refused(await as('amina', 'POST', `${path}/propose`, {}), 'listing-differs', why);
    const known = { acknowledgeListing: true };
    expect((await as('amina', 'POST', `${path}/propose`, known)).body.state).toBe('proposed');
    refused(await as('ben', 'POST', `${path}/accept`, {}), 'listing-differs', why);
    expect((await as('ben', 'POST', `${path}/accept`, known)).body.state).toBe('accepted');
    expect((await begun({ listingId, quantity: 1, unit: 't', ...known })).body.state).toBe('proposed');
  });

  it('has it told also once it has ended', async () => {
    const listingId = await listing();
    const { path } = await begun({ listingId, unit: 't' });
    expect((await node.request('DELETE', `/listings/${listingId}`)).status).toBe(204);
    refused(await as('amina', 'POST', `${path}/propose`, {}), 'listing-differs', /"t" .* "kg"/);
  });

  it.each([
    ['title', 'Beans'],
    ['commodity', 'Beans'],
    ['unit', '90 KG'],
    ['price', 49],
    ['currency', 'UGX'],
    ['location', 'Eldoret'],
    ['geoLat_', '0.50000'],
  ])('has moved when its %s is changed', async (field, value) => {
    const listingId = await listing();
    const draft = await begun({ listingId, propose: false });
    const proposed = await begun({ listingId, quantity: 5 });
    expect((await as('ben', 'PATCH', `/listings/${listingId}`, { [field]: value })).status).toBe(200);
    const why = new RegExp(
      `${field} is .*${String(draft.body[field])}.* in the contract and .*${String(value)}`,
    );
    refused(await as('amina', 'POST', `${draft.path}/propose`, {}), 'listing-moved', why);
    const { transitions } = proposed.body as { transitions?: { hash: string }[] };
    for (const named of [{}, { proposal: transitions?.[0]?.hash }])
      refused(await as('ben', 'POST', `${proposed.path}/accept`, named), 'listing-moved', why);
    expect((await as('amina', 'PATCH', draft.path, { [field]: value })).status).toBe(200);
    expect((await as('amina', 'POST', `${draft.path}/propose`, {})).body.state).toBe('proposed');
    const known = { acknowledgeListing: true };
    expect((await as('ben', 'POST', `${proposed.path}/accept`, known)).body.state).toBe('accepted');
  });

  it('has not moved for its quantity, its other fields, or a price above what is agreed', async () => {
    const listingId = await listing();
    const { path } = await begun({ listingId, quantity: 5 });
    const change = { quantity: 60, price: 70, description: 'dry', notes: 'new' };
    expect((await as('ben', 'PATCH', `/listings/${listingId}`, change)).status).toBe(200);
    expect((await as('ben', 'POST', `${path}/accept`, {})).body).toMatchObject({
      state: 'accepted',
      price: 50,
    });
  });

  it('has not moved for terms that its maker wrote', async () => {
    const listingId = await listing();
    const { path } = await begun({ listingId, title: 'Ten bags', price: 60 });
    await as('ben', 'PATCH', `/listings/${listingId}`, { title: 'White maize', price: 55 });
    expect((await as('ben', 'POST', `${path}/accept`, {})).body.state).toBe('accepted');
  });
});

describe('who takes part', () => {
  it('is the listing’s seller where a supplier without a node is named, and nobody else', async () => {
    const listingId = await listing();
    const { body } = await begun({ listingId, supplierId: 'ben' });
    expect(body['parties']).toEqual([`amina@${node.peerId}`, `ben@${node.peerId}`]);
    for (const supplierId of ['carol', 'nobody', 'amina'])
      refused(
        await as('amina', 'POST', '/contracts', { listingId, supplierId }),
        'party-unknown',
        /supplierId: the listing is by ben@/,
      );
  });

  it('is the buyer of a request where one without a node is named', async () => {
    const wanted = await as('carol', 'POST', '/listings', { ...LISTING, type: 'request' });
    const listingId = wanted.body['listingId'];
    const { body } = await begun({ listingId, buyerId: 'carol' }, 'ben');
    expect(body['parties']).toEqual([`carol@${node.peerId}`, `ben@${node.peerId}`]);
    refused(
      await as('ben', 'POST', '/contracts', { listingId, buyerId: 'amina' }),
      'party-unknown',
      /buyerId: the listing is by carol@/,
    );
  });

  it('is no user whom this node does not have', async () => {
    for (const name of [{ supplierId: 'nobody' }, { producerId: `nobody@${node.peerId}` }])
      refused(
        await as('amina', 'POST', '/contracts', { ...deal(1), ...name }),
        'party-unknown',
        /this node has no user nobody/,
      );
  });
});

describe('a seller’s validUntil', () => {
  it('makes the proposal at once, and holds the goods until then', async () => {
    const listingId = await listing();
    const validUntil = new Date(Date.now() + 60_000).toISOString();
    const { path, body } = await begun({ listingId, buyerId: 'amina', quantity: 40, validUntil }, 'ben');
    expect(body).toMatchObject({ state: 'proposed', transitions: [{ kind: 'propose', validUntil }] });
    expect((await as('ben', 'GET', `/listings/${listingId}`)).body['available']).toBe(60);
    expect((await as('amina', 'POST', `${path}/accept`, {})).body.state).toBe('accepted');
    const without = await begun({ listingId, buyerId: 'amina', quantity: 4 }, 'ben');
    expect(without.body.state).toBe('draft');
  });

  it('has to be ahead, in a new contract and in a proposal', async () => {
    const listingId = await listing();
    const { path } = await begun({ listingId, buyerId: 'amina', quantity: 4 }, 'ben');
    const over = new Date(Date.now() - 1000).toISOString();
    for (const validUntil of [0, over]) {
      for (const [to, body] of [
        ['/contracts', { listingId, buyerId: 'amina', quantity: 4 }],
        [`${path}/propose`, {}],
      ] as const)
        refused(
          await as('ben', 'POST', to, { ...body, validUntil }),
          'fields-invalid',
          /has to be ahead/,
          400,
        );
    }
    expect((await as('ben', 'GET', path)).body.state).toBe('draft');
  });
});

it('what was agreed is in the old shape too, whatever the document says by then', async () => {
  const listingId = await listing();
  const { path, body } = await begun({ listingId, quantity: 3 });
  await as('ben', 'POST', `${path}/accept`, {});
  const { transactions } = (await as('amina', 'GET', '/transactions')).body as { transactions?: object[] };
  const { commodity, location } = LISTING;
  expect(transactions).toContainEqual(
    expect.objectContaining({ id: body['contractId'], ...deal(3), commodity, location, status: 'accepted' }),
  );
});
