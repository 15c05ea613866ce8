import { afterEach, expect, it } from 'vitest';
import { SMS_LIMITS } from '../../../daemon/sms/limits.ts';
import { settle } from '../../support/hand-clock.ts';
import { smsBench } from '../../support/sms-bench.ts';

const benches: ReturnType<typeof smsBench>[] = [];
function bench(...users: Parameters<typeof smsBench>) {
  const made = smsBench(...users);
  benches.push(made);
  return made;
}
afterEach(async () => {
  for (const { sender } of benches.splice(0)) await sender.stop();
});

it('what is queued is sent once, and its line says so', async () => {
  const { queue, provider, lines, rows } = bench();
  queue('a');
  await settle();
  expect(provider.sends).toEqual(['+254700000001 hello #a']);
  expect(lines.get('a')).toBe('sent');
  expect(rows.size).toBe(0);
});

it('after an answer that never came it is looked for, and sent again only when the provider would have it by now', async () => {
  const { queue, provider, lines, clock, rows } = bench();
  provider.sent = () => ({ kind: 'unclear' });
  queue('a');
  await settle();
  expect([provider.sends.length, lines.get('a')]).toEqual([1, 'sending']);
  await clock.pass(SMS_LIMITS.absentMs - 1);
  expect(provider.sends).toHaveLength(1);
  expect(provider.finds.length).toBeGreaterThan(0);
  provider.sent = () => ({ kind: 'sent', id: 'SM2' });
  await clock.pass(1);
  await settle();
  expect([provider.sends.length, lines.get('a'), rows.size]).toEqual([2, 'sent', 0]);
});

it('what was taken although no answer came is not sent again', async () => {
  const { queue, provider, lines, clock } = bench();
  provider.sent = () => ({ kind: 'unclear' });
  provider.found = () => ({ kind: 'found', id: 'SM1', failed: false });
  queue('a');
  await clock.pass(SMS_LIMITS.staleMs);
  expect([provider.sends.length, lines.get('a')]).toEqual([1, 'sent']);
});

it('a provider that cannot be asked leaves it unknown after an hour, and it is not sent again', async () => {
  const { queue, provider, lines, clock, rows, warnings } = bench();
  provider.sent = () => ({ kind: 'unclear' });
  provider.found = () => ({ kind: 'unanswered' });
  queue('a');
  await clock.pass(SMS_LIMITS.askMs);
  expect(lines.get('a')).toBe('sending');
  await clock.pass(SMS_LIMITS.longestMs);
  expect([provider.sends.length, lines.get('a'), rows.size]).toEqual([1, 'unknown', 0]);
  expect(warnings).toEqual(['it is unknown whether an SMS was sent {"notice":"a"}']);
});

it('what a process that is gone was sending is asked for, at the number that it was sent to', async () => {
  const { queue, provider, lines, clock } = bench([{ id: 'amina', phone: '+254799999999' }]);
  provider.found = () => ({ kind: 'found', id: 'SM1', failed: false });
  queue('a', { sending: { to: '+254700000001', since: clock.env.now() } });
  await settle();
  expect(provider.finds).toEqual(['+254700000001 hello #a']);
  expect([provider.sends.length, lines.get('a')]).toEqual([0, 'sent']);
});

it('a refusal is the end, one for now is not; STOP is heard', async () => {
  const { queue, provider, lines, clock, optedOut, warnings } = bench();
  provider.sent = () => ({ kind: 'busy' });
  queue('a');
  await settle();
  expect(lines.get('a')).toBe('queued');
  provider.sent = () => ({ kind: 'refused', status: 400, code: 21610 });
  await clock.pass(SMS_LIMITS.firstMs);
  expect([provider.sends.length, provider.finds.length, lines.get('a')]).toEqual([2, 0, 'failed']);
  expect(optedOut).toEqual(['amina']);
  expect(warnings).toEqual(['an SMS was refused {"notice":"a","status":400,"code":21610}']);
});

it('credentials that are refused hold everything back, with an alarm', async () => {
  const { queue, provider, lines, clock, denied } = bench();
  provider.sent = () => ({ kind: 'denied', status: 401 });
  queue('a');
  await settle();
  queue('b');
  await settle();
  expect([provider.sends.length, denied, lines.get('a')]).toEqual([1, [401], 'queued']);
  provider.sent = () => ({ kind: 'sent', id: 'SM1' });
  await clock.pass(SMS_LIMITS.deniedMs);
  expect([lines.get('a'), lines.get('b')]).toEqual(['sent', 'sent']);
});

it('nobody is sent anything in quiet hours, or after having said no; what is a day old is not sent either', async () => {
  const quietHours = { from: '00:00', to: '23:59', timeZone: 'UTC' };
  const { queue, provider, lines, rows } = bench([
    { id: 'amina', phone: '+254700000001', sms: false },
    { id: 'mary', phone: '+254700000002', quietHours },
    { id: 'zawadi' },
    { id: 'old', phone: '+254700000003' },
  ]);
  queue('a');
  queue('b', { userId: 'mary' });
  queue('c', { userId: 'zawadi' });
  queue('d', { userId: 'gone' });
  queue('e', { userId: 'old', at: -SMS_LIMITS.staleMs - 1 });
  await settle();
  expect(provider.sends).toEqual([]);
  expect(['a', 'b', 'c', 'd', 'e'].map((id) => lines.get(id))).toEqual([
    undefined,
    'queued',
    undefined,
    undefined,
    'failed',
  ]);
  expect(rows.size).toBe(1);
});

it('a stop leaves what is under way to the next start', async () => {
  const { queue, provider, lines, sender, rows } = bench();
  let answer: (() => void) | undefined;
  provider.sent = () => new Promise((resolve) => (answer = () => resolve({ kind: 'unclear' })));
  queue('a');
  await settle();
  const stopped = sender.stop();
  answer?.();
  await stopped;
  expect([lines.get('a'), [...rows.values()][0]?.sms.sending?.to]).toEqual(['sending', '+254700000001']);
});

it('a summary has the text of the moment when it is sent, and is dropped where there is nothing to tell', async () => {
  const { queue, provider, clock, rows, summary } = bench();
  queue('a', { isSummary: true, body: '' });
  await settle();
  expect([provider.sends, rows.size]).toEqual([[], 0]);
  summary.text = '3 more #s';
  provider.sent = () => ({ kind: 'busy' });
  queue('b', { isSummary: true, body: '' });
  await settle();
  // It was not taken: when it is sent again, it is the same one.
  summary.text = '4 more #s';
  provider.sent = () => ({ kind: 'unclear' });
  await clock.pass(SMS_LIMITS.firstMs);
  expect(provider.sends).toEqual(['+254700000001 3 more #s', '+254700000001 3 more #s']);
  provider.found = () => ({ kind: 'found', id: 'SM1', failed: false });
  await clock.pass(SMS_LIMITS.longestMs);
  expect(provider.finds.at(-1)).toBe('+254700000001 3 more #s');
  expect([provider.sends.length, rows.size]).toEqual([2, 0]);
});
