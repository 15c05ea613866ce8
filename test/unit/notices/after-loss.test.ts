import { afterEach, expect, it } from 'vitest';
import type { Notice } from '../../../daemon/notices/notice.ts';
import { SMS_LIMITS } from '../../../daemon/sms/limits.ts';
import { recordKey } from '../../../protocols/wire/ids.ts';
import { ABROAD, HERE, type SmsMarket, smsMarket } from '../../support/sms-market.ts';

/** What comes again after a restore: whether its user was told of it is lost with the rows that said so. */
const [PEER = HERE] = ABROAD;
const markets: SmsMarket[] = [];
async function market(): Promise<SmsMarket> {
  const made = await smsMarket([{ id: 'amina', phone: '+254700000001' }], { perUser: 30, perNode: 10 });
  markets.push(made);
  return made;
}
afterEach(async () => {
  for (const each of markets.splice(0)) await each.close();
});

const noticeOf = ({ clock }: SmsMarket, more: Partial<Notice> = {}): Notice => ({
  userId: 'amina',
  event: 'message m1',
  at: clock.now,
  signedAt: clock.now,
  kind: 'message',
  causedBy: PEER,
  text: 'message',
  values: { from: 'mary', title: 'Maize' },
  about: {},
  ...more,
});

/** The same notice before a loss, and again an hour later on the node that was restored; what the first life sent is at the provider. */
async function twice(more: Partial<Notice>): Promise<{ before: SmsMarket; after: SmsMarket }> {
  const [before, after] = [await market(), await market()];
  const notice = noticeOf(before, more);
  await before.write([notice]);
  await before.send();
  after.clock.now += 3_600_000;
  after.state.lostAt = after.clock.now - 60_000;
  const { sends } = before.provider;
  after.provider.found = ({ to, body, since }) =>
    sends.some((each) => each.startsWith(to) && each.endsWith(body)) && since <= notice.signedAt
      ? { kind: 'found', id: 'SM1', failed: false }
      : { kind: 'absent' };
  await after.write([{ ...notice, at: after.clock.now, values: { ...notice.values, from: 'Mary W.' } }]);
  await after.send();
  return { before, after };
}

it('is in the list again, which has lost it too, and marked; its SMS is not sent again', async () => {
  const { before, after } = await twice({});
  expect(before.provider.sends).toHaveLength(1);
  expect(after.provider.sends).toEqual([]);
  expect(await after.lines('amina')).toMatchObject([{ sms: 'sent', possibleRepeat: true }]);
  expect([after.events.length, after.posted.length]).toEqual([1, 1]);
});

it('is sent once where the provider has never had it', async () => {
  const { after } = await twice({});
  after.provider.found = () => ({ kind: 'absent' });
  await after.write([noticeOf(after, { event: 'message m2', signedAt: after.state.lostAt ?? 0 })]);
  await after.send();
  expect(after.provider.sends).toEqual([]);
  after.clock.now += SMS_LIMITS.absentMs;
  await after.send();
  expect(after.provider.sends).toHaveLength(1);
  const lines = await after.lines('amina');
  expect(lines.map(({ sms, possibleRepeat }) => [sms, possibleRepeat])).toEqual([
    ['sent', true],
    ['sent', true],
  ]);
});

it('a match of a saved search goes out by no event and no webhook: nobody waits for an answer', async () => {
  const { before, after } = await twice({
    kind: 'want',
    text: 'want',
    values: { want: 'maize', title: 'x' },
  });
  expect([before.events.length, before.posted.length, before.provider.sends.length]).toEqual([1, 1, 1]);
  expect([after.events, after.posted, after.provider.sends]).toEqual([[], [], []]);
  expect(await after.lines('amina')).toMatchObject([{ kind: 'want', sms: 'sent', possibleRepeat: true }]);
});

it('a proposal that can be answered is sent again: the code of the SMS before is lost', async () => {
  const answer = {
    contract: recordKey('contracts', PEER, 'c'),
    proposal: '1'.padStart(64, '0'),
    sum: 100,
    currency: 'KES',
  };
  const { before, after } = await twice({
    kind: 'proposal',
    text: 'proposal',
    values: { from: 'mary', deal: 'x' },
    answer,
  });
  expect(before.provider.sends).toHaveLength(1);
  expect(after.provider.sends).toHaveLength(1);
  expect(await after.codes('amina')).toBe(1);
});

it('what is signed after the loss is told as ever', async () => {
  const at = await market();
  at.state.lostAt = at.clock.now - 1;
  at.provider.found = () => ({ kind: 'found', id: 'SM1', failed: false });
  await at.write([noticeOf(at)]);
  await at.send();
  expect(at.provider.sends).toHaveLength(1);
  expect([at.events.length, at.posted.length]).toEqual([1, 1]);
  expect((await at.lines('amina')).map(({ possibleRepeat }) => possibleRepeat)).toEqual([undefined]);
});
