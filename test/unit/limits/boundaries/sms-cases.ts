import { counted, nextSummary } from '../../../../daemon/sms/daily-limits.ts';
import { SMS_LIMITS } from '../../../../daemon/sms/limits.ts';
import { afterAsking, afterSending, type OutgoingSms, stepOf } from '../../../../daemon/sms/outgoing.ts';
import { smsToken } from '../../../../daemon/sms/sms-text.ts';
import { Twilio } from '../../../../daemon/sms/twilio.ts';
import { HandClock, settle, watchEnd } from '../../../support/hand-clock.ts';
import { smsBench } from '../../../support/sms-bench.ts';
import { twilioServer } from '../../../support/twilio-server.ts';
import type { CasesOf } from './case.ts';

const TO = '+254700000001';
const queued: OutgoingSms = { userId: 'amina', notificationId: 'a', body: 'x #abcdef', at: 0, tries: 0 };
const sending: OutgoingSms = { ...queued, sending: { to: TO, since: 0 } };
const waitAfter = (tries: number): number => {
  const outcome = afterSending({ ...queued, tries }, { kind: 'busy' }, 0);
  return 'due' in outcome ? outcome.due : -1;
};

export const SMS_CASES: CasesOf<'daemon/sms/limits.ts'> = {
  atOnce: {
    over: 'in process',
    why: 'how many are under way shows where they are answered by hand',
    async send(_, n) {
      const { queue, provider, sender } = smsBench();
      const open: (() => void)[] = [];
      provider.sent = () => new Promise((resolve) => open.push(() => resolve({ kind: 'unclear' })));
      for (let i = 0; i < n; i++) queue(`n${i}`);
      await settle();
      const stopped = sender.stop();
      for (const answer of open) answer();
      await stopped;
      return provider.sends.length;
    },
    gives: [3, 4, 4],
  },
  requestMs: {
    over: 'clock',
    async send(_, ms) {
      const server = await twilioServer({ behave: () => ({ answer: 'never, kept' }) });
      const clock = new HandClock();
      const stop = new AbortController();
      const twilio = new Twilio(server.account, clock.env);
      const end = watchEnd(twilio.send({ to: TO, body: 'x' }, stop.signal).then(({ kind }) => kind));
      await clock.pass(ms);
      await settle();
      const ended = end();
      stop.abort();
      await server.close();
      return ended;
    },
    gives: ['goes on', 'unclear', 'unclear'],
  },
  absentMs: {
    over: 'clock',
    async send(_, ms) {
      const outcome = afterAsking(sending, { kind: 'absent' }, ms);
      return 'next' in outcome && outcome.next.sending === undefined;
    },
    gives: [false, true, true],
  },
  askMs: {
    over: 'clock',
    send: async (_, ms) => 'end' in afterAsking(sending, { kind: 'unanswered' }, ms),
    gives: [false, false, true],
  },
  staleMs: {
    over: 'clock',
    send: async (_, ms) => stepOf(queued, { id: 'amina', phone: TO }, ms).do,
    gives: ['send', 'send', 'end'],
  },
  dayMs: {
    over: 'clock',
    async send(_, ms) {
      const limits = { perUser: 1, perNode: 1 };
      const { count } = counted(undefined, { due: 0, otherNode: undefined }, limits);
      return counted(count, { due: ms, otherNode: undefined }, limits).state;
    },
    gives: ['daily-limit', 'queued', 'queued'],
  },
  summaryMs: {
    over: 'clock',
    send: async (_, ms) => ms >= (nextSummary({ since: 0, sent: 1, byNode: {} }, 0) ?? -1),
    gives: [false, true, true],
  },
  firstMs: {
    over: 'clock',
    send: async (_, ms) => ms >= waitAfter(0),
    gives: [false, true, true],
  },
  longestMs: {
    over: 'clock',
    send: async (_, ms) => ms >= waitAfter(30),
    gives: [false, true, true],
  },
  deniedMs: {
    over: 'clock',
    async send(_, ms) {
      const { queue, provider, sender, clock } = smsBench();
      provider.sent = () => ({ kind: 'denied', status: 401 });
      queue('a');
      await settle();
      queue('b');
      await clock.pass(ms);
      await sender.stop();
      return provider.sends.length > 1;
    },
    gives: [false, true, true],
  },
  pages: {
    over: 'HTTP',
    async send(_, n) {
      const server = await twilioServer({ pageSize: 1 });
      const twilio = new Twilio(server.account, new HandClock().env);
      const { signal } = new AbortController();
      const body = (i: number): string => `x ${smsToken(String(i))}`;
      for (let i = 0; i < n; i++) await twilio.send({ to: TO, body: body(i) }, signal);
      const { kind } = await twilio.find({ to: TO, body: body(0), since: SMS_LIMITS.staleMs }, signal);
      await server.close();
      return kind;
    },
    gives: ['found', 'found', 'unanswered'],
  },
};
