import { afterEach, beforeEach, expect, it } from 'vitest';
import { Twilio } from '../../../daemon/sms/twilio.ts';
import { systemEnv } from '../../../daemon/system-env.ts';
import { twilioServer, type TwilioServer } from '../../support/twilio-server.ts';

const TO = '+254700112233';
const going = new AbortController().signal;
let server: TwilioServer;
let twilio: Twilio;

beforeEach(async () => {
  server = await twilioServer();
  twilio = new Twilio(server.account, systemEnv);
});
afterEach(() => server.close());

const send = (body = 'hello #abcdef') => twilio.send({ to: TO, body }, going);
const find = (body = 'hello #abcdef', since = Date.now()) => twilio.find({ to: TO, body, since }, going);

it('a message is sent with number and text, and found by them', async () => {
  expect(await find()).toEqual({ kind: 'absent' });
  const sent = await send();
  expect(sent).toEqual({ kind: 'sent', id: server.taken[0]?.sid });
  expect(server.taken).toMatchObject([{ to: TO, from: server.account.from, body: 'hello #abcdef' }]);
  expect(await find()).toEqual({ kind: 'found', id: server.taken[0]?.sid, failed: false });
  expect(await find('hello #bcdefg')).toEqual({ kind: 'absent' });
  expect(await twilio.find({ to: '+254700112234', body: 'hello #abcdef', since: 0 }, going)).toEqual({
    kind: 'absent',
  });
});

it('an answer says whether the message may have been taken', async () => {
  for (const [status, code, kind] of [
    [400, 21211, 'refused'],
    [400, 21610, 'refused'],
    [401, 20003, 'denied'],
    [403, 20005, 'denied'],
    [403, 21408, 'refused'],
    [429, 20429, 'busy'],
    [500, undefined, 'unclear'],
    [503, undefined, 'unclear'],
  ] as const) {
    server.become({ behave: () => ({ answer: 'refuses', status, ...(code === undefined ? {} : { code }) }) });
    const sent = await send();
    expect(sent, String(status)).toMatchObject(
      kind === 'refused' || kind === 'denied' ? { kind, status, code } : { kind },
    );
    expect(JSON.stringify(sent)).not.toContain('2547');
  }
  server.become({ behave: () => ({ answer: 'hangs up' }) });
  expect(await send()).toEqual({ kind: 'unclear' });
  await server.close();
  expect(await send()).toEqual({ kind: 'unclear' });
  expect(await find()).toEqual({ kind: 'unanswered' });
  server = await twilioServer();
});

it('an answer that does not come is given up, as is one when the daemon stops; the message may be there', async () => {
  server.become({ behave: () => ({ answer: 'never, kept' }) });
  const impatient = new Twilio(server.account, { deadline: () => AbortSignal.timeout(30) });
  expect(await impatient.send({ to: TO, body: 'hello #abcdef' }, going)).toEqual({ kind: 'unclear' });
  expect(await twilio.send({ to: TO, body: 'hello #bbcdef' }, AbortSignal.timeout(30))).toEqual({
    kind: 'unclear',
  });
  expect((await find()).kind).toBe('found');
  server.become({ lists: () => 'never' });
  expect(await impatient.find({ to: TO, body: 'hello #abcdef', since: 0 }, going)).toEqual({
    kind: 'unanswered',
  });
});

it('a message is looked for page by page, as far back as it can be, and no further', async () => {
  server.become({ pageSize: 2 });
  for (const letter of 'abcdefg') await send(`hello #aaaaa${letter}`);
  server.asked.length = 0;
  expect((await find('hello #aaaaaa')).kind).toBe('found');
  expect(server.asked).toHaveLength(4);
  // What is older than the SMS cannot be it.
  server.asked.length = 0;
  expect(await find('hello #zzzzzz', Date.now() + 3_600_000)).toEqual({ kind: 'absent' });
  expect(server.asked).toHaveLength(1);
});

it('a list that is refused, or shows messages without their texts, does not say that one is absent', async () => {
  for (const status of [403, 404, 500]) {
    server.become({ lists: () => status });
    expect(await find()).toEqual({ kind: 'unanswered' });
  }
  server.become({ lists: () => 401 });
  expect(await find()).toMatchObject({ kind: 'denied', status: 401 });
  server.become({});
  await send('REDACTED');
  expect(await find()).toEqual({ kind: 'unanswered' });
  // A trial account puts its own words in front.
  await send('Sent from a trial account - hello #abcdef');
  expect((await find()).kind).toBe('found');
});
