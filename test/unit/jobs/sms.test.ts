import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Job } from '../../../api/ports/jobs.ts';
import { sendingJob } from '../../../daemon/jobs/sms.ts';
import { accountOf } from '../../../daemon/settings.ts';
import { SMS_LIMITS } from '../../../daemon/sms/limits.ts';
import { Twilio } from '../../../daemon/sms/twilio.ts';
import { systemEnv } from '../../../daemon/system-env.ts';
import { mayRetry } from '../../../protocols/error-codes.ts';
import { HandClock, settle } from '../../support/hand-clock.ts';
import { twilioServer, type TwilioServer } from '../../support/twilio-server.ts';

const PHONE = '+254711111111';
const job = (data: Job['data'], attempts = 1): Job => ({
  id: 'job-1',
  name: 'sms',
  data,
  key: 'job-1',
  state: 'active',
  attempts,
  maxAttempts: 5,
  createdAt: Date.now(),
  runAt: 0,
});
const run = { signal: new AbortController().signal, progress: async () => undefined };

// Twilio itself cannot be asked here: a stand-in on loopback plays its API.
describe('SMS as jobs', () => {
  let server: TwilioServer;
  let clock: HandClock;
  const send = (data: Job['data'], attempts = 1) =>
    sendingJob(new Twilio(server.account, systemEnv), clock.env)(job(data, attempts), run);

  beforeEach(async () => {
    server = await twilioServer();
    clock = new HandClock();
  });
  afterEach(() => server.close());

  it('sends number and text, once, and keeps the id of the message', async () => {
    const result = await send({ phone: PHONE, message: 'Rain tomorrow' });
    expect(result).toEqual({ messageId: server.taken[0]?.sid });
    expect(server.taken).toMatchObject([
      { to: PHONE, body: expect.stringMatching(/^Rain tomorrow #\w{6}$/) },
    ]);
    expect(server.asked).toHaveLength(1);
  });

  it('asks before it sends again: what was taken is not sent twice', async () => {
    server.become({ behave: () => ({ answer: 'refuses', status: 503, kept: true }) });
    await expect(send({ phone: PHONE, message: 'Rain' })).rejects.toMatchObject({ code: 'sms-unreachable' });
    server.become({});
    expect(await send({ phone: PHONE, message: 'Rain' }, 2)).toEqual({ messageId: server.taken[0]?.sid });
    expect(server.taken).toHaveLength(1);
  });

  it('sends again what the provider does not have after a while, and nothing where it cannot be asked', async () => {
    server.become({ behave: () => ({ answer: 'hangs up' }) });
    await expect(send({ phone: PHONE, message: 'Rain' })).rejects.toMatchObject({ code: 'sms-unreachable' });
    server.become({ lists: () => 500 });
    await expect(send({ phone: PHONE, message: 'Rain' }, 2)).rejects.toMatchObject({
      code: 'sms-unreachable',
    });
    server.become({});
    const again = send({ phone: PHONE, message: 'Rain' }, 3);
    const asked = server.asked.length;
    await expect.poll(() => server.asked.length).toBe(asked + 1);
    await settle();
    expect(server.taken).toHaveLength(0);
    await clock.pass(SMS_LIMITS.absentMs);
    expect(await again).toEqual({ messageId: server.taken[0]?.sid });
    expect(server.taken).toHaveLength(1);
  });

  it('tells of a refusal without the number, and tries again only what may go well', async () => {
    for (const [status, code] of [
      [400, 'sms-refused'],
      [429, 'sms-unavailable'],
      [503, 'sms-unreachable'],
    ] as const) {
      server.become({ behave: () => ({ answer: 'refuses', status, code: 21211 }) });
      const failed = send({ phone: PHONE, message: 'x' });
      const error: unknown = await failed.catch((each: unknown) => each);
      expect(error).toMatchObject({ code });
      expect(mayRetry(code)).toBe(status !== 400);
      expect(String(error)).not.toContain('2547');
      if (status === 400) expect(String(error)).toContain('21211');
    }
  });

  it('does nothing without credentials or with what is no number', async () => {
    const settings = {
      twilioAccountSid: server.account.accountSid,
      twilioAuthToken: undefined,
      twilioSmsNumber: server.account.from,
      twilioApiUrl: server.url,
    };
    expect(accountOf(settings)).toBeUndefined();
    expect(accountOf({ ...settings, twilioAuthToken: server.account.authToken })).toEqual(server.account);
    await expect(send({ phone: '0711', message: 'x' })).rejects.toMatchObject({ code: 'sms-malformed' });
    expect(server.asked).toHaveLength(0);
  });
});
