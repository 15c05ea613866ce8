import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { z } from '@hono/zod-openapi';
import { bodyLimits } from '../../../api/limits/body.ts';
import { isDeeper } from '../../../protocols/wire/json-depth.ts';
import { json, jsonInput, route, router } from '../../../api/route.ts';
import { systemEnv } from '../../../daemon/system-env.ts';
import { bareApp, codeOf, principal } from './app.ts';

const limits = { maxBytes: 1024, messageBytes: 2048, maxDepth: 4, maxValues: 50, timeoutMs: 200 };

/** An app with one validated route for keys that may write. */
function appOf(given = limits) {
  const app = bareApp();
  app.use(async (c, next) => {
    c.set(
      'principal',
      principal('key', ...(c.req.header('x-api-key') === undefined ? [] : ['write' as const])),
    );
    await next();
  });
  app.use(bodyLimits(systemEnv, given));
  const Body = z.looseObject({});
  app.route(
    '/',
    router().openapi(
      route('write', {
        operationId: 'postBody',
        method: 'post',
        path: '/',
        request: { body: jsonInput(Body) },
        responses: { 200: json(Body, 'The same') },
      }),
      (c) => c.json(c.req.valid('json'), 200),
    ),
  );
  return app;
}

/** A body of unknown length whose chunks come when they are asked for; after them, nothing, or the end. */
function chunks(parts: readonly string[], ends = true) {
  const state = { pulled: 0, canceled: false };
  const body = new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        const part = parts[state.pulled];
        if (part !== undefined) {
          state.pulled++;
          controller.enqueue(new TextEncoder().encode(part));
        } else if (ends) controller.close();
        else return new Promise(() => undefined);
        return undefined;
      },
      cancel() {
        state.canceled = true;
      },
    },
    { highWaterMark: 0 },
  );
  return { body, state };
}

const HEADERS = { 'content-type': 'application/json', 'x-api-key': 'key' };

function post(body: BodyInit, headers: Record<string, string> = {}, app = appOf()) {
  const init: RequestInit & { duplex: 'half' } = {
    method: 'POST',
    headers: { ...HEADERS, ...headers },
    body,
    duplex: 'half',
  };
  return app.request('/', init);
}

const ofBytes = (bytes: number): string => JSON.stringify({ a: 'x'.repeat(bytes - 8) });

describe('bodyLimits', () => {
  it('takes a body of exactly the limit and refuses one byte more', async () => {
    const [fits, tooLarge] = [ofBytes(1024), ofBytes(1025)];
    expect(fits).toHaveLength(1024);
    expect((await post(fits)).status).toBe(200);
    expect((await post(fits, { 'content-length': '1024' })).status).toBe(200);
    expect(await codeOf(await post(tooLarge))).toBe('body-too-large');
    expect(await codeOf(await post(tooLarge, { 'content-length': '1025' }))).toBe('body-too-large');
  });

  it('takes UTF-8 alone, with and without a length and a byte order mark', async () => {
    const text = JSON.stringify({ a: 'café' });
    for (const headers of [{}, { 'content-length': '14' }]) {
      expect(await (await post(text, headers)).json()).toEqual({ a: 'café' });
      const latin1 = Buffer.from(text, 'latin1');
      expect(await codeOf(await post(new Uint8Array(latin1), headers))).toBe('body-malformed');
      const utf16 = Buffer.from(text, 'utf16le');
      expect((await post(new Uint8Array(utf16), headers)).status).toBe(400);
    }
    expect(await (await post(`\uFEFF${text}`)).json()).toEqual({ a: 'café' });
  });

  it('counts bytes, not characters', async () => {
    expect(await codeOf(await post(JSON.stringify({ a: 'ä'.repeat(600) })))).toBe('body-too-large');
  });

  it('stops reading a body without a length at the limit', async () => {
    const { body, state } = chunks(Array.from({ length: 100 }, () => 'x'.repeat(100)));
    expect(await codeOf(await post(body))).toBe('body-too-large');
    expect(state).toEqual({ pulled: 11, canceled: true });
  });

  it('reads nothing for a caller whom the route refuses', async () => {
    const { body, state } = chunks(['{}']);
    const init: RequestInit & { duplex: 'half' } = {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
      duplex: 'half',
    };
    expect(await codeOf(await appOf().request('/', init))).toBe('forbidden');
    expect(state.pulled).toBe(0);
  });

  it('waits for a body only so long', async () => {
    const { body } = chunks(['{"a":'], false);
    const answer = await post(body, {}, appOf({ ...limits, timeoutMs: 20 }));
    expect(await codeOf(answer)).toBe('body-slow');
    expect(answer.headers.get('connection')).toBe('close');
  });

  it('bounds the number of values, those in texts aside', async () => {
    // The text, its object, and its array with so many.
    const of = (count: number): string => `{"a":[${Array.from({ length: count }, () => '1').join(',')}]}`;
    expect((await post(of(48))).status).toBe(200);
    expect(await codeOf(await post(of(49)))).toBe('body-too-large');
    expect((await post(JSON.stringify({ a: '[,'.repeat(100) }))).status).toBe(200);
    expect(await codeOf(await post(`[${'{},'.repeat(30)}{}]`))).toBe('body-too-large');
  });

  it('bounds the depth', async () => {
    expect((await post('{"a":[[{"b":1}]]}')).status).toBe(200);
    expect(await codeOf(await post('{"a":[[[{}]]]}'))).toBe('body-too-deep');
  });

  it('leaves other types and what is no JSON to be refused', async () => {
    expect((await post('a=b', { 'content-type': 'application/x-www-form-urlencoded' })).status).not.toBe(200);
    expect((await post('{')).status).toBe(400);
  });
});

describe('isDeeper', () => {
  it('counts nothing inside of strings', () => {
    expect(isDeeper('{"[[[[":"{{{{\\"[[[["}', 1)).toBe(false);
    expect(isDeeper('["\\\\",[1]]', 1)).toBe(true);
    expect(isDeeper('["\\\\\\"[[[["]', 1)).toBe(false);
  });

  it('agrees with a parser on any JSON', () => {
    const depthOf = (value: unknown): number =>
      typeof value === 'object' && value !== null ? 1 + Math.max(0, ...Object.values(value).map(depthOf)) : 0;
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), fc.nat(7), (value, max) => {
        expect(isDeeper(JSON.stringify(value), max)).toBe(depthOf(value) > max);
      }),
    );
  });

  it('is done with a hostile text in one pass', () => {
    const hostile = ['[', '"', '\\"', '"\\'].map((part) => part.repeat(200_000));
    const started = performance.now();
    for (const text of hostile) isDeeper(text, 1_000_000);
    expect(performance.now() - started).toBeLessThan(2000);
  });
});
