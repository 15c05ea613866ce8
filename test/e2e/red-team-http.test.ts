import { randomBytes } from 'node:crypto';
import type { Server } from 'node:http';
import { createServer } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { signRegistration } from '../../protocols/registry/statement.ts';
import { identityFromSeed, parsePeerId } from '../../protocols/wire/identity.ts';
import { type Daemon, startDaemonHere } from '../support/daemon.ts';
import { tempDir } from '../support/temp-dir.ts';
import { waitFor } from '../support/wait.ts';

interface Answer {
  readonly status: number;
  readonly text: string;
  readonly body: Record<string, unknown>;
}

/** What attackers tried against a real daemon, and what has to hold. */
describe('the API against its callers and sources', () => {
  const dir = tempDir('red-team');
  const secret = `planted-${randomBytes(12).toString('hex')}`;
  const servers: Server[] = [];
  const hooks: string[] = [];
  let daemon: Daemon;
  let keys: Record<'alice' | 'bob' | 'operator' | 'mallory' | 'carol', string>;

  async function serve(listener: Parameters<typeof createServer>[1]): Promise<string> {
    const server = createServer(listener).listen(0, '127.0.0.1');
    servers.push(server);
    await new Promise((resolve) => server.once('listening', resolve));
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }
  async function call(
    key: string,
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<Answer> {
    const response = await fetch(daemon.url + path, {
      method,
      headers: {
        ...(key === '' ? {} : { 'x-api-key': key }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return {
      status: response.status,
      text,
      body: text === '' ? {} : (JSON.parse(text) as Answer['body']),
    };
  }
  const issue = async (userId: string, scopes: string[], more = {}): Promise<string> =>
    (await daemon.json<{ key: string }>('POST', '/api/keys', { userId, scopes, ...more })).key;

  beforeAll(async () => {
    const hook = await serve((request, response) => {
      hooks.push(String(request.headers['x-agrinet-event']));
      response.end();
    });
    daemon = await startDaemonHere(dir.path, {
      LOG_LEVEL: 'debug',
      JWT_SECRET: secret,
      FEDERATION_WEBHOOK_SECRET: secret,
      FEDERATION_WEBHOOK_URLS: hook,
    });
    keys = {
      alice: await issue('alice', ['read', 'write']),
      bob: await issue('bob', ['read', 'write']),
      operator: await issue('operator', ['read', 'write']),
      // The most that a key can be issued for: what bounds its user is tried, too.
      mallory: await issue('mallory', ['register'], { uses: 32 }),
      carol: await issue('carol', ['register']),
    };
  });
  afterAll(async () => {
    await daemon.stop();
    for (const server of servers) {
      server.closeAllConnections();
      server.close();
    }
    dir.remove();
  });

  it('lets no party of a contract put another in the other’s place', async () => {
    const parties = { buyerId: 'alice', supplierId: 'bob' };
    const made = await call(keys.alice, 'POST', '/contracts', { ...parties, quantity: 5 });
    const path = `/contracts/${String(made.body['contractId'])}`;
    for (const change of [{ buyerId: 'mallory' }, { buyerId: null }, { supplierId: 'alice' }]) {
      const refused = await call(keys.bob, 'PATCH', path, change);
      expect([refused.status, refused.body['code']]).toEqual([403, 'forbidden']);
    }
    expect((await call(keys.bob, 'PATCH', path, { ...parties, quantity: 6 })).status).toBe(200);
    expect((await call(keys.alice, 'GET', path)).body).toMatchObject({ ...parties, quantity: 6 });
    // Not even the operator: what one party has signed would name another then.
    expect((await call(daemon.apiKey, 'PATCH', path, { buyerId: 'carol' })).status).toBe(403);
  });

  it('shows the operator’s notifications to no user of that name', async () => {
    expect((await call(keys.operator, 'GET', '/notifications')).body['code']).toBe('forbidden');
    expect((await call(keys.alice, 'GET', '/notifications?userId=bob')).body['code']).toBe('forbidden');
    expect((await call(daemon.apiKey, 'GET', '/notifications')).status).toBe(200);
  });

  it('takes streamed bodies with an Idempotency-Key, and keeps the sources of imports apart', async () => {
    const listings = [{ id: 'a', title: 'Maize', updatedAt: '2026-01-01T00:00:00Z' }];
    const headers = { 'idempotency-key': 'once' };
    for (const source of ['legacy:import', 'https://old.example']) {
      const path = `/federation/import?source=${encodeURIComponent(source)}`;
      const taken = await call(daemon.apiKey, 'POST', path, { listings }, headers);
      expect([taken.status, taken.body['imported']]).toEqual([200, 1]);
    }
    const planned = await call(
      daemon.apiKey,
      'POST',
      '/federation/plan?source=12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN',
      { feeds: [] },
      headers,
    );
    expect(planned.body['code']).toBe('source-unknown');
  });

  it('has room for others after one key has asked to register a thousand nodes', async () => {
    const { peerId, network } = await daemon.json<{ peerId: string; network: string }>(
      'GET',
      '/federation/identity',
    );
    const receiver = parsePeerId(peerId);
    if (receiver === undefined) throw new Error('no peer id');
    const statement = (): string => {
      const caller = identityFromSeed(randomBytes(32));
      const signed = signRegistration(caller, network, {
        caller: caller.peerId,
        receiver,
        nodeUrl: '',
        region: 'Coast',
        name: 'n',
        multiaddrs: [],
        schemaVersion: 1,
        time: Date.now(),
        nonce: randomBytes(16).toString('hex'),
        tlsFingerprint: '',
      });
      return Buffer.from(signed).toString('base64url');
    };
    const register = (key: string, body: unknown): Promise<Answer> =>
      call(key, 'POST', '/federation/node/register', body);
    const plain = (n: number) => ({
      nodeUrl: `http://127.0.0.1:${n}`,
      region: 'Coast',
      contactEmail: `${secret}@farm.example`,
    });
    const statuses: number[] = [];
    for (let n = 2000; n < 2500; n += 25) {
      const some = Array.from({ length: 25 }, (_, i) => n + i);
      const answers = some.flatMap((port) => [
        register(keys.mallory, plain(port)),
        register(keys.mallory, { statement: statement() }),
      ]);
      for (const { status } of await Promise.all(answers)) statuses.push(status);
    }
    expect(new Set(statuses)).toEqual(new Set([202, 409]));
    expect(statuses.filter((status) => status === 202)).toHaveLength(64);
    expect((await register(keys.carol, plain(1999))).status).toBe(202);
    expect((await register(keys.carol, { statement: statement() })).status).toBe(202);
    expect((await register(keys.carol, { statement: statement() })).body['code']).toBe('key-used');
    expect((await register('', plain(1998))).body['code']).toBe('unauthorized');
    expect((await call('', 'GET', '/federation/nodes')).text).not.toContain(secret);
  });

  it('ends a connection with more requests under way than anybody has, and serves the others meanwhile', async () => {
    const { hostname, port } = new URL(daemon.url);
    const pipelined = async (count: number): Promise<number> => {
      const socket = connect(Number(port), hostname).setEncoding('latin1');
      let answers = '';
      const ended = new Promise<void>((resolve) => socket.once('close', () => resolve()));
      socket.on('error', () => undefined); // that it is reset is what is looked for
      const found = (): number => answers.split('HTTP/1.1 200').length - 1;
      socket.on('data', (text: string) => {
        answers += text;
        if (found() === count) socket.destroy();
      });
      socket.write('GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(count));
      await ended;
      return found();
    };
    expect(await pipelined(50)).toBe(50);
    const flood = pipelined(5000);
    expect((await call('', 'GET', '/listings')).status).toBe(200);
    expect(await flood).toBeLessThan(5000);
  });

  it('delivers its webhooks while as many sources as there are workers never come to an end', async () => {
    let asked = 0;
    for (let n = 0; n < 5; n++) {
      const url = await serve((request, response) => {
        if (request.url !== '/federation/export') return void response.writeHead(404).end();
        asked++;
        response.write('{"listings":[');
      });
      await daemon.json('POST', '/federation/nodes', { url });
      await daemon.json('POST', '/federation/pull', { sourceUrl: url });
    }
    await waitFor('four pulls under way', async () => asked === 4, 10_000);
    hooks.length = 0;
    await daemon.json('POST', '/federation/nodes', {
      url: await serve((_, response) => void response.writeHead(404).end()),
    });
    await waitFor('a webhook', async () => hooks.includes('federation.node'), 10_000);
    expect(asked).toBe(4);
  });

  it('stops at once while its sources say nothing, and has written no secret into its log', async () => {
    const begun = performance.now();
    expect(await daemon.stop()).toBe(0);
    expect(performance.now() - begun).toBeLessThan(10_000);
    const log = daemon.output();
    for (const planted of [secret, daemon.apiKey, ...Object.values(keys)]) expect(log).not.toContain(planted);
  });
});
