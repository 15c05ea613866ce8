import { describe, expect, it } from 'vitest';
import { addressGroup } from '../../../api/limits/address.ts';
import { rateLimit } from '../../../api/limits/rate-limit.ts';
import { createBuckets } from '../../../api/limits/token-bucket.ts';
import { AgrinetError } from '../../../protocols/errors.ts';
import { bareApp, codeOf, from, principal } from './app.ts';

const PER_SECOND = 20;

/** An app with both limits and a clock that stands still; `x-api-key: good-…` is a key, anything else is a wrong one. */
function limitedApp(perSecond: number | undefined, trustProxy = false) {
  let time = 0;
  const { byAddress, byPrincipal } = rateLimit({ perSecond, trustProxy, now: () => time });
  const app = bareApp();
  app.use(byAddress);
  app.use(async (c, next) => {
    const key = c.req.header('x-api-key');
    if (key !== undefined && !key.startsWith('good-')) throw new AgrinetError('unauthorized', 'wrong');
    c.set('principal', principal(key ?? 'anonymous'));
    await next();
  });
  app.use(byPrincipal);
  app.get('*', (c) => c.text('in'));
  /** How many of `count` requests were let in. */
  async function letIn(count: number, address?: string, headers: Record<string, string> = {}, path = '/') {
    let passed = 0;
    for (let i = 0; i < count; i++) {
      const answer = await app.request(path, { headers }, address === undefined ? undefined : from(address));
      if ((await codeOf(answer)) === 'rate-limited')
        expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
      else passed++;
    }
    return passed;
  }
  return { letIn, pass: (ms: number) => (time += ms) };
}

describe('rateLimit', () => {
  it('lets in a second’s worth of one address at once, then as many a second', async () => {
    const { letIn, pass } = limitedApp(PER_SECOND);
    expect(await letIn(50, '192.0.2.1')).toBe(PER_SECOND);
    expect(await letIn(50, '192.0.2.2')).toBe(PER_SECOND);
    pass(500);
    expect(await letIn(50, '192.0.2.1')).toBe(PER_SECOND / 2);
    pass(3_600_000);
    expect(await letIn(50, '192.0.2.1')).toBe(PER_SECOND);
  });

  it('counts a key wherever it comes from', async () => {
    const { letIn } = limitedApp(PER_SECOND);
    let passed = 0;
    for (let i = 0; i < 50; i++) passed += await letIn(1, `192.0.2.${i}`, { 'x-api-key': 'good-one' });
    expect(passed).toBe(PER_SECOND);
    expect(await letIn(1, '192.0.2.1', { 'x-api-key': 'good-two' })).toBe(1);
    expect(await letIn(50, undefined, { 'x-api-key': 'good-three' })).toBe(PER_SECOND);
  });

  it('counts a wrong key tenfold', async () => {
    const { letIn } = limitedApp(PER_SECOND);
    expect(await letIn(50, '192.0.2.1', { 'x-api-key': 'guess' })).toBe(2);
    expect(await letIn(50, '192.0.2.1')).toBe(0);
  });

  it('exempts health checks, and everything when off', async () => {
    const { letIn } = limitedApp(PER_SECOND);
    expect(await letIn(100, '192.0.2.1', {}, '/health')).toBe(100);
    expect(await letIn(100, '192.0.2.1', {}, '/ready')).toBe(100);
    expect(await limitedApp(undefined).letIn(100, '192.0.2.1', { 'x-api-key': 'good-one' })).toBe(100);
  });

  it('believes X-Forwarded-For only of a proxy on loopback, and only its last address', async () => {
    const forged = (i: number) => ({ 'x-forwarded-for': `198.51.100.${i}, 203.0.113.9` });
    const behind = limitedApp(PER_SECOND, true);
    let passed = 0;
    for (let i = 0; i < 50; i++) passed += await behind.letIn(1, '127.0.0.1', forged(i));
    expect(passed).toBe(PER_SECOND);
    expect(await behind.letIn(1, '127.0.0.1', { 'x-forwarded-for': '203.0.113.10' })).toBe(1);
    for (const [address, trust] of [
      ['192.0.2.1', true],
      ['127.0.0.1', false],
    ] as const) {
      const { letIn } = limitedApp(PER_SECOND, trust);
      let each = 0;
      for (let i = 0; i < 50; i++) each += await letIn(1, address, { 'x-forwarded-for': `203.0.113.${i}` });
      expect(each, `${address}, trusted: ${trust}`).toBe(PER_SECOND);
    }
  });
});

describe('addressGroup', () => {
  it.each([
    ['192.0.2.1', '192.0.2.1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['::1', '::1'],
    ['2001:db8:0:1:2:3:4:5', '2001:db8:0:1::/64'],
    ['2001:db8::5', '2001:db8:0:0::/64'],
    ['2001:0DB8:0000:0001::9', '2001:db8:0:1::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['2001:db8:1:2:3:4:5::', '2001:db8:1:2::/64'],
  ])('%s is of %s', (address, group) => {
    expect(addressGroup(address)).toBe(group);
  });
});

describe('createBuckets', () => {
  it('remembers 10,000 callers, the last ones', () => {
    const buckets = createBuckets(1);
    expect(buckets.take('first', 0)).toBe(0);
    expect(buckets.take('first', 0)).toBeGreaterThan(0);
    for (let i = 0; i < 10_000; i++) buckets.take(`other-${i}`, 0);
    expect(buckets.take('other-9999', 0)).toBeGreaterThan(0);
    expect(buckets.take('first', 0)).toBe(0);
  });

  it('goes into debt of one second at most, and a clock set back gives nothing', () => {
    const buckets = createBuckets(10);
    buckets.charge('one', 1000, 5000);
    expect(buckets.take('one', 5000)).toBe(1100);
    expect(buckets.take('one', 0)).toBe(1100);
  });
});
