import { afterEach, beforeEach, expect, it } from 'vitest';
import { ANSWER_LIMITS } from '../../../daemon/sms/answer-codes.ts';
import { systemEnv } from '../../../daemon/system-env.ts';
import { AgrinetError } from '../../../protocols/errors.ts';
import { type AnswerBench, answerBench } from '../../support/answer-bench.ts';
import { signedSms } from '../../support/twilio-server.ts';

let bench: AnswerBench;
let now = 1_700_000_000_000;
let passed = 0;
const env = { now: () => now, monotonic: () => passed, bytes: systemEnv.bytes };
const pass = (ms: number): void => {
  now += ms;
  passed += ms;
};
beforeEach(async () => {
  bench = await answerBench(env, systemEnv);
});
afterEach(() => bench.close());

const HELP =
  /^<\?xml version="1.0" encoding="UTF-8"\?><Response><Message>To answer a proposal, .*<\/Message><\/Response>$/;
const WRONG = /This code is not known here/;
const VOID = /can no longer be answered by SMS/;
/** Six digits that are not these. */
const other = (code: string): string => (code === '000000' ? '111111' : '000000');

it('the code of a proposal accepts or refuses it as its user, once, while it is the newest', async () => {
  const [yes, no] = [await bench.issue(1), await bench.issue(2)];
  expect(await bench.receive(`YES ${yes}`)).toContain('You have accepted.');
  expect(await bench.receive(`hapana ${no}`)).toContain('You have refused');
  const [one, two] = ['1', '2'].map((n) => n.padStart(64, '0'));
  expect(bench.steps).toMatchObject([
    { by: 'amina', request: { kind: 'accept', proposal: one, whileNewest: one } },
    { by: 'amina', request: { kind: 'cancel', whileNewest: two } },
  ]);
  expect(bench.audited).toEqual(['sms amina', 'sms amina']);
  expect(await bench.receive(`YES ${yes}`)).toMatch(WRONG);
  expect(bench.steps).toHaveLength(2);
});

it('a code is good for its number only, and for as long as it lasts', async () => {
  const code = await bench.issue(1);
  bench.users.push({ id: 'mary', phone: '+254700000002' });
  expect(await bench.receive(`YES ${code}`, { from: '+254700000002' })).toMatch(WRONG);
  expect(await bench.receive(`YES ${code}`, { from: '+254700000003' })).toMatch(HELP);
  // Her number has changed since it was sent.
  bench.users.splice(0, 1, { id: 'amina', phone: '+254700000009' });
  expect(await bench.receive(`YES ${code}`, { from: '+254700000009' })).toMatch(WRONG);
  bench.users.splice(0, 1, { id: 'amina', phone: '+254700000001' });
  pass(ANSWER_LIMITS.codeMs);
  expect(await bench.receive(`YES ${code}`)).toMatch(WRONG);
  expect(bench.steps).toEqual([]);
});

it('three wrong codes void those of the number, over a restart too', async () => {
  const code = (await bench.issue(1)) ?? '';
  for (let tries = 0; tries < 3; tries++) {
    expect(await bench.receive(`YES ${other(code)}`)).toMatch(WRONG);
    bench.restart();
  }
  expect(await bench.receive(`YES ${code}`)).toMatch(WRONG);
  const next = (await bench.issue(2)) ?? '';
  expect(await bench.receive(`YES ${other(next)}`)).toMatch(WRONG);
  expect(await bench.receive(`YES ${next}`)).toContain('You have accepted.');
});

it('a newer proposal of the same contract voids the code of the one before', async () => {
  const before = await bench.issue(1);
  const after = await bench.issue(1);
  if (before !== after) expect(await bench.receive(`YES ${before}`)).toMatch(WRONG);
  expect(await bench.receive(`YES ${after}`)).toContain('You have accepted.');
});

it('a message is taken once, whoever posts it again, and over a restart', async () => {
  await bench.receive('hello', { sid: 'SM-once' });
  bench.restart();
  await expect(bench.receive('hello', { sid: 'SM-once' })).rejects.toMatchObject({ code: 'sms-replayed' });
  pass(ANSWER_LIMITS.rememberMs + 1);
  await bench.receive('another');
  expect((await bench.table.received()).map(({ id }) => id)).toEqual(['SM0']);
});

it('what Twilio has not signed, or signed for another URL or from another account, is refused', async () => {
  const code = await bench.issue(1);
  const url = 'https://market.example/sms/incoming';
  const message = { from: '+254700000001', body: `YES ${code}`, sid: 'SM-forged' };
  for (const forged of [
    { ...signedSms(url, message), signature: '' },
    signedSms('https://other.example/sms/incoming', message),
    signedSms(url, message, 'token-of-somebody-else'),
    { ...signedSms(url, { ...message, from: '+254700000009' }), form: signedSms(url, message).form },
  ])
    await expect(bench.incoming({ ...forged, path: '/sms/incoming' })).rejects.toMatchObject({
      code: 'request-unsigned',
    });
  expect(bench.steps).toEqual([]);
});

it('a step that cannot be taken now keeps its code; one that never can says so; a fault of the node is told to Twilio', async () => {
  const code = await bench.issue(1);
  bench.state.fails = new AgrinetError('rejoining', 'wait');
  expect(await bench.receive(`YES ${code}`)).toContain('in a few minutes');
  bench.state.fails = new AgrinetError('internal', 'secret words');
  await expect(bench.receive(`YES ${code}`, { sid: 'SM-again' })).rejects.toMatchObject({ code: 'internal' });
  bench.state.fails = new AgrinetError('terms-changed', 'another proposal');
  expect(await bench.receive(`YES ${code}`, { sid: 'SM-again' })).toMatch(VOID);
  delete bench.state.fails;
  expect(await bench.receive(`YES ${code}`)).toMatch(WRONG);
});

it('STOP and START are answered by Twilio, and kept for everybody at the number', async () => {
  bench.users.push({ id: 'child', phone: '+254700000001', language: 'sw' });
  expect(await bench.receive('Stop')).not.toContain('<Message>');
  expect(bench.users.map(({ sms }) => sms)).toEqual([false, false]);
  expect(await bench.receive('START')).not.toContain('<Message>');
  expect(bench.users.map(({ sms }) => sms)).toEqual([true, true]);
  expect(bench.audited).toContain('SMS STOP child');
});

it('anything else gets one line of help in the language of the user, and no more than twenty a day', async () => {
  expect(await bench.receive('Is the maize dry?')).toMatch(HELP);
  bench.users.splice(0, 1, { id: 'amina', phone: '+254700000001', language: 'sw' });
  expect(await bench.receive('Mahindi?')).toContain('Kujibu pendekezo');
  const replies = await Promise.all(Array.from({ length: 30 }, () => bench.receive('?')));
  expect(replies.filter((each) => each.includes('<Message>'))).toHaveLength(
    ANSWER_LIMITS.repliesPerNumber - 2,
  );
  pass(24 * 3_600_000);
  expect(await bench.receive('?')).toContain('<Message>');
});
