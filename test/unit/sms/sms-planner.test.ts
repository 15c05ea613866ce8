import { afterEach, expect, it } from 'vitest';
import type { User } from '../../../api/ports/users.ts';
import type { Notice } from '../../../daemon/notices/notice.ts';
import { SMS_LIMITS } from '../../../daemon/sms/limits.ts';
import { ABROAD, HERE, type SmsMarket, smsMarket } from '../../support/sms-market.ts';
import { recordKey } from '../../../protocols/wire/ids.ts';

const PHONE = '+254700000001';
const LIMITS = { perUser: 6, perNode: 3 };
const [STRANGER = HERE, OTHER = HERE] = ABROAD;
const PARTNER = `ben@${STRANGER}`;

const markets: SmsMarket[] = [];
async function market(user: Partial<User> = {}): Promise<SmsMarket> {
  const made = await smsMarket(
    [
      { id: 'amina', phone: PHONE, ...user },
      { id: 'mary', phone: '+254700000002' },
    ],
    LIMITS,
    [PARTNER],
  );
  markets.push(made);
  return made;
}
afterEach(async () => {
  for (const each of markets.splice(0)) await each.close();
});

let events = 0;
/** So many messages to a user, each by itself one event. */
function messages(count: number, { clock }: SmsMarket, more: Partial<Notice> = {}): Notice[] {
  return Array.from({ length: count }, () => ({
    userId: 'amina',
    event: `message ${events++}`,
    at: clock.now,
    signedAt: clock.now,
    kind: 'message',
    causedBy: STRANGER,
    text: 'message',
    values: { from: 'x', title: `t${events}` },
    about: {},
    ...more,
  }));
}
const tally = async (at: SmsMarket, userId = 'amina'): Promise<Record<string, number>> => {
  const states = (await at.lines(userId)).map(({ sms = 'none' }) => sms);
  return Object.fromEntries(
    [...new Set(states)].toSorted().map((s) => [s, states.filter((x) => x === s).length]),
  );
};
const summaries = ({ provider }: SmsMarket): string[] =>
  provider.sends.filter((sms) => sms.includes("Today's limit of SMS is reached"));

it('what a stranger causes is bounded; the rest stays in the list, says why, and an hour later one SMS counts it', async () => {
  const at = await market();
  await at.write(messages(20, at));
  await at.write(messages(20, at));
  await at.send();
  expect(await tally(at)).toEqual({ 'node-limit': 37, sent: 3 });
  expect(at.provider.sends).toHaveLength(3);
  // Her partner and her own node still reach her, up to her own limit, which another user's flood leaves alone.
  await at.write(messages(2, at, { about: { from: PARTNER } }));
  await at.write([...messages(1, at, { causedBy: OTHER }), ...messages(2, at, { causedBy: HERE })]);
  await at.write(messages(1, at, { userId: 'mary' }));
  await at.send();
  expect(await tally(at)).toEqual({ 'daily-limit': 1, 'node-limit': 37, 'stranger-limit': 1, sent: 6 });
  expect(await tally(at, 'mary')).toEqual({ sent: 1 });
  const held = (await at.lines('amina')).find(({ sms }) => sms === 'node-limit');
  await at.markRead('amina', held?.notificationId ?? '');
  at.clock.now += SMS_LIMITS.summaryMs - 1;
  await at.send();
  expect(summaries(at)).toEqual([]);
  at.clock.now += 1;
  await at.send();
  expect(summaries(at)).toEqual([
    expect.stringMatching(
      /^\+254700000001 Today's limit of SMS is reached\. Unread notices without an SMS: 38\. Read them here: https:\/\/coop\.example\/notifications #\w{6}$/,
    ),
  ]);
  expect(await at.waiting()).toBe(0);
});

it('at most one summary in a day, and what came after it is in the next one', async () => {
  const at = await market();
  for (let hour = 0; hour < 26; hour++) {
    await at.write(messages(5, at, { causedBy: STRANGER }));
    await at.send();
    at.clock.now += SMS_LIMITS.summaryMs;
  }
  await at.send();
  expect(summaries(at)).toHaveLength(2);
  // 26 hours are the day of the first three, and the next one.
  expect(await tally(at)).toEqual({ 'node-limit': 124, sent: 6 });
  at.clock.now += SMS_LIMITS.dayMs;
  await at.send();
  expect(summaries(at)).toHaveLength(3);
  expect(at.provider.sends).toHaveLength(9);
});

it('the counts outlive the process, and what never reached the disk is not counted', async () => {
  const at = await market();
  const told = messages(2, at);
  await at.write(told);
  at.state.cut = true;
  const cut = messages(1, at);
  await expect(at.write(cut)).rejects.toThrow('cut off');
  at.state.cut = false;
  await at.restart();
  // A process that has ended in between reads the same notices again.
  await at.write([...told, ...cut, ...messages(1, at)]);
  await at.restart();
  await at.write(messages(5, at));
  await at.send();
  expect(await tally(at)).toEqual({ 'node-limit': 6, sent: 3 });
  await at.restart();
  at.clock.now += SMS_LIMITS.summaryMs;
  await at.send();
  await at.restart();
  await at.send();
  expect([at.provider.sends.length, summaries(at).length]).toEqual([4, 1]);
});

it('a summary whose answer was lost is asked for by its text, and not sent again with another count', async () => {
  const at = await market();
  await at.write(messages(5, at));
  await at.send();
  at.clock.now += SMS_LIMITS.summaryMs;
  at.provider.sent = () => ({ kind: 'unclear' });
  await at.send();
  await at.restart();
  await at.write(messages(5, at));
  at.provider.found = () => ({ kind: 'found', id: 'SM2', failed: false });
  at.clock.now += SMS_LIMITS.longestMs;
  await at.send();
  expect(summaries(at)).toHaveLength(1);
});

it('in quiet hours and after STOP there is no summary either', async () => {
  const quiet = await market({ quietHours: { from: '00:00', to: '06:00', timeZone: 'UTC' } });
  await quiet.write(messages(10, quiet));
  quiet.clock.now += 6 * SMS_LIMITS.summaryMs - 1;
  await quiet.send();
  expect(quiet.provider.sends).toEqual([]);
  quiet.clock.now += 1;
  await quiet.send();
  expect([quiet.provider.sends.length, summaries(quiet).length]).toEqual([4, 1]);

  const users: User[] = [{ id: 'amina', phone: PHONE }];
  const stopped = await smsMarket(users, LIMITS);
  markets.push(stopped);
  await stopped.write(messages(10, stopped));
  users.splice(0, 1, { id: 'amina', phone: PHONE, sms: false });
  stopped.clock.now += SMS_LIMITS.summaryMs;
  await stopped.send();
  expect([stopped.provider.sends, await stopped.waiting()]).toEqual([[], 0]);
});

it('what waits for the end of quiet hours counts on the day on which it is sent', async () => {
  const hourMs = SMS_LIMITS.summaryMs;
  const at = await market({ quietHours: { from: '22:00', to: '06:00', timeZone: 'UTC' } });
  at.clock.now -= hourMs;
  await at.write(messages(3, at)); // at 23:00, to be sent at 06:00
  at.clock.now += 8 * hourMs;
  await at.write(messages(1, at)); // at 07:00
  expect(await tally(at)).toEqual({ 'node-limit': 1, queued: 3 });
  at.clock.now += 15.5 * hourMs;
  await at.write(messages(3, at)); // at 22:30, to be sent at 06:00, a day after the first
  expect(await tally(at)).toEqual({ 'node-limit': 1, queued: 6 });
});

it('all have been read: no summary; a proposal that gets no SMS uses up no code', async () => {
  const at = await market();
  const proposal = (n: number): Partial<Notice> => ({
    kind: 'proposal',
    text: 'proposal',
    values: { from: 'x', deal: 'y' },
    answer: {
      contract: recordKey('contracts', STRANGER, `c${n}`),
      proposal: String(n).padStart(64, '0'),
      sum: 10,
      currency: 'KES',
    },
  });
  for (let n = 0; n < 6; n++) await at.write(messages(1, at, proposal(n)));
  expect(await at.codes('amina')).toBe(LIMITS.perNode);
  for (const { notificationId } of await at.lines('amina')) await at.markRead('amina', notificationId);
  at.clock.now += SMS_LIMITS.summaryMs;
  await at.send();
  expect([at.provider.sends.length, summaries(at), await at.waiting()]).toEqual([3, [], 0]);
});
