import { afterAll, beforeAll, expect, it } from 'vitest';
import { startNode, type TestNode } from '../../support/in-process-node.ts';
import { tempDir } from '../../support/temp-dir.ts';

const PHONE = '+254700112233';
const EMAIL = 'amina@kestrel-barn.example';
const dir = tempDir('users');
let node: TestNode;
let amina: string;

beforeAll(async () => {
  node = await startNode(dir.path);
  const issued = await node.request('POST', '/api/keys', { userId: 'amina', scopes: ['read', 'write'] });
  amina = ((await issued.json()) as { key: string }).key;
});
afterAll(async () => {
  await node.stop();
  dir.remove();
});

async function call(method: string, path: string, body?: unknown, key?: string) {
  const answer =
    key === undefined
      ? await node.request(method, path, body)
      : await node.app.request(path, {
          method,
          headers: { 'x-api-key': key, 'content-type': 'application/json' },
          ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        });
  const text = await answer.text();
  const json = (text === '' ? {} : JSON.parse(text)) as Record<string, unknown>;
  const code = typeof json['code'] === 'string' ? ` ${json['code']}` : '';
  return { status: answer.status, json, said: `${answer.status}${code}` };
}
const idsOf = ({ json }: { json: Record<string, unknown> }) =>
  (json['users'] as { id: string }[]).map(({ id }) => id);

it('a user has a key, or an entry in the directory; the operator lists both', async () => {
  expect(idsOf(await call('GET', '/users'))).toEqual(['amina']);
  expect((await call('GET', '/users/amina')).json).toEqual({ id: 'amina', sms: true, muted: [] });
  expect((await call('GET', '/users/zawadi')).said).toBe('404 user-unknown');
  const entered = await call('PATCH', '/users/zawadi', {
    displayName: 'Zawadi',
    role: 'farmer',
    phone: PHONE,
  });
  expect(entered.json).toMatchObject({ id: 'zawadi', role: 'farmer', phone: PHONE, sms: true });
  const first = await call('GET', '/users?limit=1');
  expect(idsOf(first)).toEqual(['amina']);
  expect(idsOf(await call('GET', `/users?limit=1&cursor=${String(first.json['cursor'])}`))).toEqual([
    'zawadi',
  ]);
});

it('a user without a key whom the operator has entered can be named in a contract; others cannot', async () => {
  const terms = { title: 'Maize', commodity: 'Maize', quantity: 5, unit: 'kg', price: 5, currency: 'KES' };
  const contract = (supplierId: string) => call('POST', '/contracts', { ...terms, supplierId }, amina);
  expect((await contract('nobody')).said).toBe('409 party-unknown');
  expect((await contract('zawadi')).status).toBe(201);
});

it('a user sees and changes its own entry alone, and not its role', async () => {
  const own = await call('PATCH', '/users/amina', { phone: PHONE, email: EMAIL, language: 'sw' }, amina);
  expect(own.json).toMatchObject({ phone: PHONE, email: EMAIL, language: 'sw' });
  expect((await call('GET', '/users/amina', undefined, amina)).json).toEqual(own.json);
  for (const id of ['zawadi', 'nobody']) {
    expect((await call('GET', `/users/${id}`, undefined, amina)).said).toBe('403 forbidden');
    expect((await call('PATCH', `/users/${id}`, { sms: false }, amina)).said).toBe('403 forbidden');
    expect((await call('DELETE', `/users/${id}`, undefined, amina)).said).toBe('403 forbidden');
  }
  expect((await call('PATCH', '/users/amina', { role: 'admin' }, amina)).said).toBe('403 forbidden');
  expect((await call('GET', '/users', undefined, amina)).said).toBe('403 forbidden');
});

it('null takes a field away, what is absent stays, and what cannot be is refused', async () => {
  const quietHours = { from: '21:00', to: '06:00', timeZone: 'Africa/Nairobi' };
  const set = await call('PATCH', '/users/amina', { quietHours, muted: ['progress'], sms: false }, amina);
  expect(set.json).toMatchObject({ quietHours, muted: ['progress'], sms: false, email: EMAIL });
  const taken = await call('PATCH', '/users/amina', { quietHours: null, email: null, sms: null }, amina);
  expect(taken.json).toMatchObject({ phone: PHONE, muted: ['progress'], sms: true });
  expect(taken.json).not.toHaveProperty('quietHours');
  expect(taken.json).not.toHaveProperty('email');
  const wrong: Record<string, unknown>[] = [
    { phone: '0700112233' },
    { email: 'amina' },
    { language: 'Kiswahili!' },
    { quietHours: { from: '9:00', to: '06:00' } },
    { quietHours: { from: '09:00', to: '06:00', timeZone: 'Mars/Olympus' } },
    { muted: ['everything'] },
    { displayName: 'two\nlines' },
    { password: 'x' },
  ];
  for (const body of wrong)
    expect({ body, said: (await call('PATCH', '/users/amina', body)).status }).toEqual({ body, said: 400 });
});

it('what is entered is on disk, and goes when it is deleted; the key stays', async () => {
  await node.stop();
  node = await startNode(dir.path);
  expect((await call('GET', '/users/amina')).json).toMatchObject({ phone: PHONE });
  expect((await call('DELETE', '/users/amina', undefined, amina)).status).toBe(204);
  expect((await call('GET', '/users/amina', undefined, amina)).json).toEqual({
    id: 'amina',
    sms: true,
    muted: [],
  });
  expect((await call('DELETE', '/users/amina')).said).toBe('404 user-unknown');
  expect((await call('DELETE', '/users/zawadi')).status).toBe(204);
  expect(idsOf(await call('GET', '/users'))).toEqual(['amina']);
});
