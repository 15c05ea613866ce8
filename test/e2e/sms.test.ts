import { afterAll, beforeAll, expect, it } from 'vitest';
import { smsSegments } from '../../daemon/sms/gsm7.ts';
import { join } from '../support/daemon.ts';
import { Federation, type Member } from '../support/federation.ts';
import { linesOf, type MarketUser, marketUser } from '../support/market-users.ts';
import { twilioServer, type TwilioServer } from '../support/twilio-server.ts';
import { waitFor } from '../support/wait.ts';

const federation = new Federation();
const PHONE = '+254700556677';
const TERMS = {
  title: 'White maize',
  commodity: 'Maize',
  quantity: 80,
  unit: 'kg',
  price: 55,
  currency: 'KES',
};
let twilio: TwilioServer;
let first: Member;
let second: Member;
let mary: MarketUser;
let amina: MarketUser;

beforeAll(async () => {
  twilio = await twilioServer();
  first = await federation.add();
  second = await federation.add({
    ...twilio.settings,
    SMS_DAILY_LIMIT_PER_NODE: '8',
    SMS_DAILY_LIMIT: '20',
    LOG_LEVEL: 'trace',
  });
  await join(first, second);
  mary = await marketUser(first, 'mary');
  amina = await marketUser(second, 'amina');
  await amina.json('PATCH', '/users/amina', { phone: PHONE });
});
afterAll(async () => {
  await federation.close();
  await twilio.close();
});

const proposed = (title: string) =>
  mary.json<{ contractId: string }>('POST', '/contracts', {
    ...TERMS,
    title,
    buyerId: `amina@${second.peerId}`,
  });
const lineOf = async (title: string) => (await linesOf(amina)).find(({ message }) => message.includes(title));
const smsOf = (title: string) => twilio.taken.filter(({ body }) => body.includes(title));

it('a notice goes out as one SMS to the number of the user, in its language, and the line says so', async () => {
  await amina.json('PATCH', '/users/amina', { language: 'sw' });
  await proposed('White maize');
  await waitFor('the SMS', async () => (await lineOf('White maize'))?.sms === 'sent');
  const [sms] = smsOf('White maize');
  expect(sms).toMatchObject({ to: PHONE, from: twilio.account.from });
  expect(sms?.body).toMatch(
    /^mary anapendekeza makubaliano: 80 kg White maize, 55 KES\/kg\. \(rasimu\) #\w{6}$/,
  );
  expect(smsSegments(sms?.body ?? '')).toBe(1);
  expect(smsOf('White maize')).toHaveLength(1);
});

it('who has said no, has muted the kind or is in quiet hours is sent none; the line stands all the same', async () => {
  await amina.json('PATCH', '/users/amina', { sms: false });
  await proposed('Red beans');
  await waitFor('the line', () => lineOf('Red beans'));
  await amina.json('PATCH', '/users/amina', { sms: true, muted: ['proposal'] });
  await proposed('Green grams');
  await waitFor('the line', () => lineOf('Green grams'));
  const [from, to] = [-60, 60].map((minutes) =>
    new Date(Date.now() + minutes * 60_000).toISOString().slice(11, 16),
  );
  await amina.json('PATCH', '/users/amina', { muted: [], quietHours: { from, to, timeZone: 'UTC' } });
  await proposed('Sorghum');
  expect((await waitFor('the line', () => lineOf('Sorghum'))).sms).toBe('queued');
  expect((await lineOf('Red beans'))?.sms).toBeUndefined();
  expect((await lineOf('Green grams'))?.sms).toBeUndefined();
  await amina.json('PATCH', '/users/amina', { quietHours: null });
  await proposed('Millet');
  await waitFor('the SMS', async () => (await lineOf('Millet'))?.sms === 'sent');
  for (const title of ['Red beans', 'Green grams', 'Sorghum']) expect(smsOf(title)).toEqual([]);
  expect((await lineOf('Sorghum'))?.sms).toBe('queued');
});

it('a number that has answered STOP is asked no more until its user says so', async () => {
  twilio.become({ behave: () => ({ answer: 'refuses', status: 400, code: 21610 }) });
  await proposed('Cassava');
  await waitFor('the SMS', async () => (await lineOf('Cassava'))?.sms === 'failed');
  expect(await amina.json('GET', '/users/amina')).toMatchObject({ sms: false });
  twilio.become({});
  await amina.json('PATCH', '/users/amina', { sms: true });
});

it('somebody abroad causes no more SMS than the limit, by messages, proposals or listings that are wanted', async () => {
  twilio.become({});
  const before = twilio.taken.length;
  const zawadi = await marketUser(second, 'zawadi');
  const phone = '+254700556688';
  await zawadi.json('PATCH', '/users/zawadi', { phone });
  await zawadi.json('POST', '/wants', { q: 'soya' });
  const party = `zawadi@${second.peerId}`;
  const { id: chat } = await mary.json<{ id: string }>('POST', '/conversations', {
    title: 'Flood',
    participants: [party],
  });
  for (let n = 0; n < 5; n++) {
    await mary.json('POST', `/messages/${chat}`, { content: `${n}` });
    await mary.json('POST', '/contracts', { ...TERMS, title: `Barley ${n}`, buyerId: party });
    await mary.json('POST', '/listings', { type: 'offer', title: `Soya ${n}` });
  }
  const lines = await waitFor('all of it', async () => {
    const all = await linesOf(zawadi);
    return all.length === 15 && !all.some(({ sms }) => sms === 'queued' || sms === 'sending')
      ? all
      : undefined;
  });
  const inState = (state: string) => lines.filter(({ sms }) => sms === state);
  expect([inState('sent').length, inState('node-limit').length]).toEqual([8, 7]);
  expect(twilio.taken.slice(before).map(({ to }) => to)).toEqual(Array.from({ length: 8 }, () => phone));
  // A partner of hers on the same node still reaches her: with a counterproposal, a new deal, a message and a settlement.
  const otieno = await marketUser(first, 'otieno');
  const partner = `otieno@${first.peerId}`;
  const { contractId } = await zawadi.json<{ contractId: string }>('POST', '/contracts', {
    ...TERMS,
    title: 'Simsim',
    supplierId: partner,
  });
  const step = (name: string) =>
    waitFor(name, async () => (await otieno.request('POST', `/contracts/${contractId}/${name}`, {})).ok);
  const sent = (kind: string, words: string) =>
    waitFor(`the SMS of ${words}`, async () =>
      (await linesOf(zawadi)).some(
        (line) => line.kind === kind && line.message.includes(words) && line.sms === 'sent',
      ),
    );
  await step('accept');
  await sent('acceptance', 'Simsim');
  await otieno.json('POST', '/contracts', { ...TERMS, title: 'Teff', buyerId: party });
  await sent('proposal', 'Teff');
  const talk = await otieno.json<{ id: string }>('POST', '/conversations', {
    title: 'Lorry',
    participants: [party],
  });
  await otieno.json('POST', `/messages/${talk.id}`, { content: 'tomorrow' });
  await sent('message', 'Lorry');
  await mary.json('POST', '/contracts', { ...TERMS, title: 'Barley 9', buyerId: party });
  await waitFor('the line', async () =>
    (await linesOf(zawadi)).some((line) => line.message.includes('Barley 9') && line.sms === 'node-limit'),
  );
  await step('settle');
  await sent('settlement', 'Simsim');
  // Once it has ended he is a stranger again: what he has proposed since she has not answered.
  await zawadi.json('POST', `/contracts/${contractId}/settle`, {});
  await otieno.json('POST', `/messages/${talk.id}`, { content: 'and again' });
  await waitFor('the line', async () =>
    (await linesOf(zawadi)).some((line) => line.message.includes('Lorry') && line.sms === 'node-limit'),
  );
  // A user of the own node still reaches her.
  const near = { title: 'Near', participants: [party] };
  const { id } = await amina.json<{ id: string }>('POST', '/conversations', near);
  await amina.json('POST', `/messages/${id}`, { content: 'hello' });
  await waitFor('the SMS', async () =>
    (await linesOf(zawadi)).some(({ message, sms }) => message.includes('Near') && sms === 'sent'),
  );
});

it('credentials that are refused are an alarm, and no number or text is in the log', async () => {
  twilio.become({ behave: () => ({ answer: 'refuses', status: 401, code: 20003 }) });
  await proposed('Sesame');
  const alarms = await waitFor('the alarm', async () => {
    const text = await (await second.request('GET', '/alarms')).text();
    return text.includes('sms-denied') ? text : undefined;
  });
  expect(alarms).toContain('TWILIO_AUTH_TOKEN');
  // The alarm comes first, then what is written of the notice.
  await waitFor('the notice to be queued again', async () => (await lineOf('Sesame'))?.sms === 'queued');
  for (const text of [PHONE, twilio.account.authToken, 'White maize', 'Sesame'])
    expect(second.output()).not.toContain(text);
});
