import { createHmac, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { DeliverableEvent } from '../../../api/ports/events.ts';
import type { JsonObject } from '../../../api/ports/jobs.ts';
import {
  addressOf,
  createWebhookHandler,
  startWebhooks,
  type WebhookOptions,
} from '../../../daemon/events/webhooks.ts';
import { systemEnv } from '../../../daemon/system-env.ts';
import { waitFor } from '../../support/wait.ts';

const SECRET = 'a secret of the test, long enough';
const NOW = 1_700_000_000_500;

/** What api/README.md tells receivers to do. */
function verify(header: string, body: string, nowSeconds: number, secret = SECRET): boolean {
  const found = /^t=(\d+)((?:,v1=[0-9a-f]{64})+)$/.exec(header);
  if (found === null || Math.abs(nowSeconds - Number(found[1])) > 300) return false;
  const mac = createHmac('sha256', secret).update(`${found[1]}.${body}`).digest();
  const given = [...(found[2] ?? '').matchAll(/,v1=([0-9a-f]+)/g)].map(([, each = '']) => each);
  return given.some((each) => timingSafeEqual(mac, Buffer.from(each, 'hex')));
}

describe('webhooks', () => {
  let server: Server;
  let url: string;
  const got: { headers: IncomingHttpHeaders; body: string; path: string | undefined }[] = [];
  let answers: { status: number; location?: string; hang?: boolean }[] = [];
  const warnings: string[] = [];

  beforeEach(async () => {
    got.length = 0;
    answers = [];
    warnings.length = 0;
    server = createServer((request, response) => {
      let body = '';
      request.on('data', (chunk: Buffer) => (body += chunk.toString()));
      request.on('end', () => {
        got.push({ headers: request.headers, body, path: request.url });
        const { status, location, hang } = answers.shift() ?? { status: 204 };
        if (hang === true) return;
        response.writeHead(status, location === undefined ? {} : { location }).end();
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`;
  });
  afterEach(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });

  const options = (more: Partial<WebhookOptions> = {}): WebhookOptions => ({
    urls: [url],
    secret: SECRET,
    node: '12D3KooWnode',
    env: { ...systemEnv, now: () => NOW },
    warn: (message) => warnings.push(message),
    ...more,
  });
  const job = (event: JsonObject, to = url) => ({
    id: 'job-7',
    data: { to: addressOf(to), event: { ...event } },
  });
  const event = { id: 7, type: 'federation.sync', time: NOW, data: { node: 'n1', received: 3 } };
  const run = { signal: new AbortController().signal };

  it('while the secret is replaced, both verify, and afterwards only the new one', async () => {
    const before = 'the secret of the test before, long enough';
    for (const until of [NOW + 1, NOW]) {
      const handler = createWebhookHandler(options({ previous: { secret: before, until } }));
      await handler(job(event), run);
      const posted = got.at(-1);
      const [signature, body] = [String(posted?.headers['x-agrinet-signature']), posted?.body ?? ''];
      const seconds = Math.floor(NOW / 1000);
      expect([SECRET, before].map((secret) => verify(signature, body, seconds, secret))).toEqual([
        true,
        until > NOW,
      ]);
      expect(verify(signature, body, seconds, 'a secret that neither of them is')).toBe(false);
    }
  });

  it('posts a signed body; a tampered one, an old one and another secret do not verify', async () => {
    expect(await createWebhookHandler(options())(job(event), run)).toEqual({ status: 204 });
    const [first] = got;
    const signature = String(first?.headers['x-agrinet-signature']);
    const body = first?.body ?? '';
    expect(JSON.parse(body)).toEqual({
      id: 7,
      type: 'federation.sync',
      time: '2023-11-14T22:13:20.500Z',
      data: { node: 'n1', received: 3 },
      node: '12D3KooWnode',
    });
    expect(first?.headers).toMatchObject({
      'content-type': 'application/json',
      'x-agrinet-event': 'federation.sync',
      'x-agrinet-delivery': 'job-7',
    });
    const seconds = Math.floor(NOW / 1000);
    expect(verify(signature, body, seconds)).toBe(true);
    expect(verify(signature, body.replace('n1', 'n2'), seconds)).toBe(false);
    expect(verify(signature, body, seconds + 301)).toBe(false);
    expect(verify(signature.replace(`t=${seconds}`, `t=${seconds + 1}`), body, seconds)).toBe(false);
    await createWebhookHandler(options({ secret: 'another secret, also long enough' }))(job(event), run);
    expect(verify(String(got[1]?.headers['x-agrinet-signature']), got[1]?.body ?? '', seconds)).toBe(false);
  });

  it('throws what is to be tried again: 500, a redirect, silence, nobody there', async () => {
    const handle = createWebhookHandler(options({ timeoutMs: 200 }));
    answers = [{ status: 500 }, { status: 302, location: '/elsewhere' }, { status: 204, hang: true }];
    await expect(handle(job(event), run)).rejects.toMatchObject({ code: 'webhook-refused' });
    await expect(handle(job(event), run)).rejects.toMatchObject({ code: 'webhook-refused' });
    await expect(handle(job(event), run)).rejects.toMatchObject({ code: 'webhook-unreachable' });
    expect(got.map(({ path }) => path)).toEqual(['/hook', '/hook', '/hook']);
    expect(await handle(job(event), run)).toEqual({ status: 204 });
    const nobody = createWebhookHandler(options({ urls: ['http://127.0.0.1:1/'] }));
    await expect(nobody(job(event, 'http://127.0.0.1:1/'), run)).rejects.toMatchObject({
      code: 'webhook-unreachable',
    });
  });

  it('goes to the address that it was queued for, in whatever order the lists stand by then, or is dropped', async () => {
    const [other, gone] = [`${url}2`, `${url}3`];
    for (const kind of [undefined, 'notices']) {
      const list = kind === 'notices' ? 'noticeUrls' : 'urls';
      const queued = (to: string) => {
        const { id, data } = job(event, to);
        return { id, data: kind === undefined ? data : { ...data, of: kind } };
      };
      // What is in the other list alone is no address of this one.
      const handle = createWebhookHandler(
        options({ urls: [gone], noticeUrls: [gone], [list]: [other, url] }),
      );
      got.length = 0;
      warnings.length = 0;
      for (const to of [url, other]) await handle(queued(to), run);
      expect(got.map(({ path }) => path)).toEqual(['/hook', '/hook2']);
      expect(warnings).toEqual([]);
      for (const data of [queued(gone).data, { url: 0, event }])
        expect(await handle({ id: 'job-8', data }, run)).toMatchObject({ skipped: expect.any(String) });
      expect(got).toHaveLength(2);
      expect(warnings).toEqual(Array(2).fill(expect.stringContaining('a webhook is dropped')));
    }
  });

  it('makes a job per address of what is public or for the operator, never of what is private', async () => {
    let push: ((event: DeliverableEvent) => undefined) | undefined;
    const jobs: { data: JsonObject; key: string }[] = [];
    const events: DeliverableEvent[] = [
      { id: 1, type: 'federation.sync', data: {} },
      { id: 2, type: 'federation.node', data: {}, audience: { operatorOnly: true } },
      { id: 3, type: 'message', data: {}, audience: { conversation: 'c' } },
      { type: 'token', data: {}, audience: { conversation: 'c' } },
      { id: 4, type: 'notification', data: {}, audience: { userId: 'amina' } },
      { id: 5, type: 'notification', data: {} },
      { id: 6, type: 'conflict', data: {} },
      { id: 7, type: 'conflict', data: {}, audience: { conversation: 'c' } },
      { id: 8, type: 'ping.update', data: {} },
    ];
    const webhooks = startWebhooks(
      options({ urls: [url, `${url}2`, url] }),
      {
        subscribe({ wants }, to) {
          push = (each) => (wants(each) ? to(each) : undefined);
          return { close: () => undefined };
        },
      },
      async (_, data, { key }) => void jobs.push({ data, key }),
    );
    for (const each of events) push?.(each);
    await waitFor('the jobs', () => jobs.length === 8);
    expect(jobs.map(({ key }) => key)).toEqual(
      [1, 2, 5, 6].flatMap((id) => [url, `${url}2`].map((to) => `webhook:${addressOf(to)}:${id}`)),
    );
    const told = { id: 1, type: 'federation.sync', time: NOW, data: {} };
    expect(jobs[0]?.data).toEqual({ to: addressOf(url), event: told });
    webhooks.close();
  });

  it('posts nothing without a secret, and says so', () => {
    let subscribed = false;
    const source = { subscribe: () => ((subscribed = true), { close: () => undefined }) };
    const told: unknown[] = [];
    const warn: WebhookOptions['warn'] = (message, { setting }) => told.push([message, setting]);
    const start = (more: Partial<WebhookOptions>) =>
      startWebhooks(options({ secret: undefined, warn, ...more }), source, async () => undefined);
    const line = expect.stringContaining('FEDERATION_WEBHOOK_SECRET');
    start({});
    start({ urls: [], noticeUrls: [url] });
    expect(subscribed).toBe(false);
    expect(told).toEqual([
      [line, 'FEDERATION_WEBHOOK_URLS'],
      [line, 'NOTICE_WEBHOOK_URLS'],
    ]);
    start({ urls: [] });
    start({ secret: SECRET, noticeUrls: [url] });
    expect(told).toHaveLength(2);
  });
});
