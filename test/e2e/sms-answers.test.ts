import { afterAll, beforeAll, expect, it } from 'vitest';
import { join } from '../support/daemon.ts';
import { Federation, type Member } from '../support/federation.ts';
import { type MarketUser, marketUser } from '../support/market-users.ts';
import { postSms, twilioServer, type TwilioServer } from '../support/twilio-server.ts';
import { waitFor } from '../support/wait.ts';

const federation = new Federation();
const PHONE = '+254700889900';
const TERMS = { commodity: 'Maize', quantity: 80, unit: 'kg', price: 55, currency: 'KES' };
let twilio: TwilioServer;
let first: Member;
let second: Member;
let mary: MarketUser;
let amina: MarketUser;
let messages = 0;

beforeAll(async () => {
  twilio = await twilioServer();
  first = await federation.add();
  const limit = { SMS_ACCEPT_LIMIT: '5000 KES, 40 USD', PUBLIC_READS: 'off', LOG_LEVEL: 'trace' };
  const settings = { ...twilio.settings, ...limit };
  second = await federation.add(settings);
  // Twilio posts to PUBLIC_URL, whose port is known only now.
  const { port } = new URL(second.url);
  const [, mycelium = '0'] = /\/tcp\/(\d+)/.exec(second.multiaddr) ?? [];
  const here = { PORT: port, MYCELIUM_PORT: mycelium, API_KEY: second.apiKey, PUBLIC_URL: second.url };
  await second.stop();
  second = await federation.start(second.dir, { ...settings, ...here });
  await join(first, second);
  mary = await marketUser(first, 'mary');
  amina = await marketUser(second, 'amina');
  await amina.json('PATCH', '/users/amina', { phone: PHONE });
});
afterAll(async () => {
  await federation.close();
  await twilio.close();
});

/** A proposal of mary's to amina, and the code in the SMS that told of it. */
async function proposed(title: string, terms: Record<string, unknown> = {}) {
  const { contractId } = await mary.json<{ contractId: string }>('POST', '/contracts', {
    ...TERMS,
    ...terms,
    title,
    buyerId: `amina@${second.peerId}`,
  });
  const sms = await waitFor('the SMS', () => twilio.taken.find(({ body }) => body.includes(title)));
  return {
    path: `/contracts/${contractId}`,
    code: /YES (\d{6}) or NO \1/.exec(sms.body)?.[1],
    body: sms.body,
  };
}
const answer = (body: string, sid = `SM${String(messages++).padStart(32, '0')}`) =>
  postSms(`${second.url}/sms/incoming`, { from: PHONE, body, sid });
const becomes = (path: string, state: string) =>
  waitFor(state, async () => (await mary.json<{ status: string }>('GET', path)).status === state);

it('YES and the code accept a proposal at both nodes; the audit log says by whom, and that it came by SMS', async () => {
  const { path, code, body } = await proposed('White maize');
  expect(body).toMatch(
    /^mary proposes a deal: 80 kg White maize, 55 KES\/kg\. Reply YES \d{6} or NO \d{6}\. #\w{6}$/,
  );
  const reply = await answer(`yes ${code}`, 'SM-accepts');
  expect([reply.status, reply.text]).toEqual([200, expect.stringContaining('You have accepted.')]);
  await becomes(path, 'accepted');
  const logs = await (await second.request('GET', '/logs')).text();
  expect(logs).toContain('"key":"sms"');
  expect(logs).not.toContain(PHONE);
  // Posted once more, it changes nothing.
  expect((await answer(`yes ${code}`, 'SM-accepts')).status).toBe(409);
});

it('NO refuses it, and it is told as a refusal', async () => {
  const { path, code } = await proposed('Red beans');
  expect((await answer(`HAPANA ${code}`)).text).toContain('You have refused');
  await becomes(path, 'cancelled');
  const { notifications } = await waitFor('the notice', async () => {
    const page = await mary.json<{ notifications: { message: string }[] }>('GET', '/notifications');
    return page.notifications.some(({ message }) => message.includes('has refused')) ? page : undefined;
  });
  expect(notifications[0]?.message).toContain('amina has refused: 80 kg Red beans');
});

it('a newer proposal voids the code, and a sum above the limit, or in another currency, has none', async () => {
  const { path, code } = await proposed('Sorghum');
  await mary.json('PATCH', path, { price: 50 });
  await mary.json('POST', `${path}/propose`, {});
  const newer = await waitFor('the newer SMS', () =>
    twilio.taken.find(({ body }) => body.includes('80 kg Sorghum, 50 KES/kg')),
  );
  const [, next = ''] = /YES (\d{6})/.exec(newer.body) ?? [];
  if (next !== code) expect((await answer(`YES ${code}`)).text).toContain('not known here');
  expect((await answer(`YES ${next}`)).text).toContain('You have accepted.');
  await becomes(path, 'accepted');
  expect((await proposed('Cashew', { price: 62.51 })).code).toBeUndefined();
  expect((await proposed('Sesame', { price: 0.5, currency: 'USD' })).code).toBeDefined();
  expect((await proposed('Coffee', { price: 0.51, currency: 'USD' })).code).toBeUndefined();
  expect((await proposed('Tea', { currency: 'UGX' })).code).toBeUndefined();
});

it('what is withdrawn meanwhile is said to be so; help for the rest; nothing without Twilio’s signature', async () => {
  const { path, code } = await proposed('Millet');
  await mary.json('POST', `${path}/cancel`, {});
  await waitFor('the withdrawal', () =>
    twilio.taken.some(({ body }) => /withdrawn: 80 kg Millet/.test(body)),
  );
  expect((await answer(`YES ${code}`)).text).toContain('can no longer be answered by SMS');
  expect((await answer('Is it dry?')).text).toContain('To answer a proposal, send YES or NO');
  const unsigned = await postSms(
    `${second.url}/sms/incoming`,
    { from: PHONE, body: 'YES 123456', sid: 'SM-x' },
    { token: 'token-of-somebody-else' },
  );
  expect([unsigned.status, unsigned.text]).toEqual([
    403,
    expect.stringContaining('"code":"request-unsigned"'),
  ]);
  const off = await postSms(`${first.url}/sms/incoming`, { from: PHONE, body: 'YES 123456', sid: 'SM-y' });
  expect([off.status, off.text]).toEqual([409, expect.stringContaining('"code":"sms-off"')]);
  for (const text of [PHONE, String(code), 'Is it dry?']) expect(second.output()).not.toContain(text);
});

it('STOP is kept, and START too', async () => {
  expect((await answer('STOP')).text).not.toContain('<Message>');
  expect(await amina.json('GET', '/users/amina')).toMatchObject({ sms: false });
  await answer('START');
  expect(await amina.json('GET', '/users/amina')).toMatchObject({ sms: true });
});
