import { mayRetry } from '../../../protocols/error-codes.ts';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import twilio from 'twilio';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Job } from '../../../api/ports/jobs.ts';
import { smsHandler } from '../../../daemon/jobs/sms.ts';

const settings = {
  twilioAccountSid: `AC${'a'.repeat(32)}`,
  twilioAuthToken: 'token-of-a-test',
  twilioSmsNumber: '+254700000000',
};
const job = (data: Job['data']): Job => ({
  id: 'job-1',
  name: 'sms',
  data,
  key: 'k',
  state: 'active',
  attempts: 1,
  maxAttempts: 5,
  createdAt: 0,
  runAt: 0,
});
const run = { signal: new AbortController().signal, progress: async () => undefined };

// Twilio itself cannot be asked here: a server on loopback plays its API, Twilio's own client talks to it.
describe('SMS through Twilio’s client, against a mock of its API', () => {
  let server: Server;
  const asked: { url: string; authorization: string; body: URLSearchParams }[] = [];
  let answer: { status: number; body: unknown };

  beforeEach(async () => {
    asked.length = 0;
    server = createServer((request, response) => {
      let body = '';
      request.setEncoding('utf8').on('data', (text: string) => (body += text));
      request.on('end', () => {
        asked.push({
          url: request.url ?? '',
          authorization: request.headers.authorization ?? '',
          body: new URLSearchParams(body),
        });
        response.writeHead(answer.status, { 'content-type': 'application/json' });
        response.end(JSON.stringify(answer.body));
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  });
  afterEach(() => void server.close());

  /** Twilio's client, led to the mock. */
  function client(): InstanceType<typeof twilio.RequestClient> {
    const { port } = server.address() as AddressInfo;
    const real = new twilio.RequestClient({ timeout: 5000 });
    const request = real.request.bind(real);
    real.request = (options) =>
      request({ ...options, uri: options.uri.replace('https://api.twilio.com', `http://127.0.0.1:${port}`) });
    return real;
  }

  it('sends number and text, once, and keeps the id of the message', async () => {
    answer = { status: 201, body: { sid: 'SM1' } };
    const handler = smsHandler(settings, client());
    expect(await handler?.(job({ phone: '+254711111111', message: 'Rain tomorrow' }), run)).toEqual({
      messageId: 'SM1',
    });
    expect(asked).toHaveLength(1);
    expect(asked[0]?.url).toBe(`/2010-04-01/Accounts/${settings.twilioAccountSid}/Messages.json`);
    expect(Object.fromEntries(asked[0]?.body ?? [])).toEqual({
      To: '+254711111111',
      From: '+254700000000',
      Body: 'Rain tomorrow',
    });
    expect(Buffer.from(asked[0]?.authorization.slice(6) ?? '', 'base64').toString()).toBe(
      `${settings.twilioAccountSid}:token-of-a-test`,
    );
  });

  it('tells of a refusal without the number, and tries again only what may go well', async () => {
    const handler = smsHandler(settings, client());
    for (const [status, code] of [
      [400, 'sms-refused'],
      [429, 'sms-unavailable'],
      [503, 'sms-unavailable'],
    ] as const) {
      answer = { status, body: { code: 21211, message: "Invalid 'To' +254711111111", status } };
      const failed = handler?.(job({ phone: '+254711111111', message: 'x' }), run);
      const error: unknown = await failed?.catch((each: unknown) => each);
      expect(error).toMatchObject({ code });
      expect(mayRetry(code)).toBe(status !== 400);
      expect(String(error)).not.toContain('2547');
      expect(String(error)).toContain('21211');
    }
  });

  it('does nothing without credentials or with what is no number', async () => {
    expect(smsHandler({ ...settings, twilioAuthToken: undefined })).toBeUndefined();
    await expect(
      smsHandler(settings, client())?.(job({ phone: '0711', message: 'x' }), run),
    ).rejects.toMatchObject({
      code: 'sms-malformed',
    });
    expect(asked).toHaveLength(0);
  });
});
