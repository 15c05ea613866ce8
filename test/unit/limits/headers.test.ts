import { describe, expect, it } from 'vitest';
import { cors } from '../../../api/limits/cors.ts';
import { hostCheck } from '../../../api/limits/host-check.ts';
import { requestId } from '../../../api/limits/request-id.ts';
import { systemEnv } from '../../../daemon/system-env.ts';
import { bareApp, codeOf } from './app.ts';

describe('requestId', () => {
  const app = bareApp();
  app.use(requestId(systemEnv));
  app.get('/', (c) => c.text(c.get('requestId')));
  app.get('/own', () => new Response('made by the handler'));
  const ask = async (id: string, path = '/'): Promise<Response> =>
    app.request(path, { headers: { 'x-request-id': id } });

  it('keeps a plain word and replaces anything else', async () => {
    expect(await (await ask('trace-1.a_B')).text()).toBe('trace-1.a_B');
    for (const bad of ['', 'a'.repeat(65), 'a b', 'a"b', '<x>', 'ä'])
      expect(await (await ask(bad)).text()).toMatch(
        /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
      );
  });

  it('stands in every answer', async () => {
    expect((await ask('one')).headers.get('x-request-id')).toBe('one');
    expect((await ask('two', '/own')).headers.get('x-request-id')).toBe('two');
    expect((await ask('three', '/nowhere')).headers.get('x-request-id')).toBe('three');
  });
});

describe('hostCheck', () => {
  function appOf(loopback: boolean) {
    const app = bareApp();
    app.use(
      hostCheck({ loopback, publicUrl: 'https://node.example.org', corsOrigins: ['https://ui.example.org'] }),
    );
    app.all('*', (c) => c.text('in'));
    return async (method: string, headers: Record<string, string>, path = '/') =>
      codeOf(await app.request(path, { method, headers }));
  }

  it('on loopback lets in loopback names and its own name only', async () => {
    const ask = appOf(true);
    for (const host of [
      'localhost',
      'localhost:5000',
      'LOCALHOST',
      '127.0.0.1:5000',
      '127.8.9.1',
      '[::1]:5000',
      'node.example.org',
    ])
      expect(await ask('GET', { host }), host).toBeUndefined();
    for (const host of [
      'evil.example',
      'localhost.evil.example',
      '127.0.0.1.evil.example',
      'evil.example:5000',
      'a@localhost@evil.example',
      '10.0.0.1',
      '[::2]',
      ':',
    ])
      expect(await ask('GET', { host }), host).toBe('host-refused');
    expect(await ask('GET', { host: 'localhost' })).toBeUndefined();
  });

  it('answers health checks by any name, and only those', async () => {
    const ask = appOf(true);
    for (const path of ['/health', '/ready'])
      for (const host of ['node-1:5000', '10.0.0.1', 'evil.example'])
        expect(await ask('GET', { host }, path), `${path} ${host}`).toBeUndefined();
    expect(await ask('POST', { host: 'node-1' }, '/health')).toBe('host-refused');
    expect(await ask('GET', { host: 'node-1' }, '/health/x')).toBe('host-refused');
    expect(await ask('GET', { host: 'node-1' }, '/listings?/health')).toBe('host-refused');
  });

  it('elsewhere any name is its own', async () => {
    expect(await appOf(false)('GET', { host: 'any.example' })).toBeUndefined();
  });

  it.each([true, false])('refuses writes from pages of other origins (loopback: %s)', async (loopback) => {
    const ask = appOf(loopback);
    const host = 'localhost:5000';
    for (const origin of ['http://localhost:5000', 'https://ui.example.org', 'https://node.example.org'])
      expect(await ask('POST', { host, origin }), origin).toBeUndefined();
    for (const origin of [
      'null',
      'http://evil.example',
      'http://localhost:3000',
      'https://ui.example.org.evil.example',
      'http://ui.example.org',
    ]) {
      expect(await ask('POST', { host, origin }), origin).toBe('origin-refused');
      expect(await ask('DELETE', { host, origin }), origin).toBe('origin-refused');
      expect(await ask('GET', { host, origin }), origin).toBeUndefined();
    }
    expect(await ask('POST', { host: 'localhost', origin: 'http://localhost' })).toBeUndefined();
  });
});

describe('cors', () => {
  function appOf(origins: string[]) {
    const app = bareApp();
    app.use(cors(origins));
    app.get('/', (c) => c.text('in'));
    return app;
  }
  const origin = 'https://ui.example.org';

  it('answers a listed origin, and its preflight', async () => {
    const app = appOf(['https://ui.example.org/app']);
    const answer = await app.request('/', { headers: { origin } });
    expect(answer.headers.get('access-control-allow-origin')).toBe(origin);
    expect(answer.headers.get('access-control-expose-headers')).toContain('location');
    const preflight = await app.request('/', {
      method: 'OPTIONS',
      headers: { origin, 'access-control-request-method': 'POST' },
    });
    expect(preflight.status).toBe(204);
    expect(preflight.headers.get('access-control-allow-headers')).toContain('idempotency-key');
  });

  it('has no header for others, and none for anybody with an empty list', async () => {
    const foreign = await appOf([origin]).request('/', { headers: { origin: 'https://evil.example' } });
    expect(foreign.headers.get('access-control-allow-origin')).toBeNull();
    const none = await appOf([]).request('/', { headers: { origin } });
    expect(none.headers.get('access-control-allow-origin')).toBeNull();
  });
});
