import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, test, vi } from 'vitest';
import { KEY_LIMITS, keyedHash, keyHasher } from '../../../daemon/access/key-rules.ts';
import { KeyRing } from '../../../daemon/access/key-ring.ts';
import type { PreviousSecret } from '../../../daemon/secrets.ts';
import { systemEnv } from '../../../daemon/system-env.ts';
import { AgrinetError } from '../../../protocols/errors.ts';
import { Database } from '../../../storage/database.ts';
import { fullKey, range } from '../../../storage/keyspace.ts';
import { keyTable } from '../../../storage/key-table.ts';
import { tempDir } from '../../support/temp-dir.ts';

const DAY = 24 * 3600 * 1000;
let dir: ReturnType<typeof tempDir>;
let db: Database;
let now: number;
let refusal: AgrinetError | undefined;
let damaged: string[];
let rings: KeyRing[];

/** A ring over what is in the database now: also what a restart would find. */
async function open(pepper = 'p'.repeat(40), previous?: PreviousSecret): Promise<KeyRing> {
  damaged = [];
  const table = keyTable(db, (key) => damaged.push(key));
  const onError = (error: unknown): void => {
    throw error;
  };
  const ring = new KeyRing(
    { table, pepper, previous, env: systemEnv, now: () => now, refusal: () => refusal, onError },
    await table.load(),
  );
  rings.push(ring);
  return ring;
}

beforeEach(async () => {
  dir = tempDir('keys');
  mkdirSync(join(dir.path, 'data'));
  db = await Database.open(join(dir.path, 'data'), systemEnv);
  now = Date.UTC(2026, 10, 23);
  refusal = undefined;
  rings = [];
});
afterEach(async () => {
  for (const ring of rings) await ring.stop();
  await db.close();
  dir.remove();
});

/** All that is stored of the keys, as text. */
async function stored(): Promise<string> {
  let text = '';
  for await (const [key, value] of db.level.iterator(range('apiKeys')))
    text += key + Buffer.from(value).toString('latin1');
  return text;
}

describe('a clock that cannot be right', () => {
  test.each([
    ['1970', 60_000],
    ['forty years ahead', Date.UTC(2066, 10, 23)],
  ])('%s: no key is made or rotated, and both go as soon as it is set', async (_, wrong) => {
    const ring = await open();
    const { id } = await ring.issue({ userId: 'amina' });
    const right = now;
    now = wrong;
    await expect(ring.issue({ userId: 'amina' })).rejects.toMatchObject({ code: 'clock-wrong' });
    now = right;
    await expect(ring.rotate(id)).resolves.toMatchObject({ issued: { userId: 'amina' } });
  });
});

describe('a key', () => {
  test('is shown once, found again after a restart, and only its keyed hash is stored', async () => {
    const ring = await open();
    const { key, ...info } = await ring.issue({ userId: 'amina', scopes: ['read', 'register'] });
    expect(key).toMatch(/^agk_[0-9a-f]{20}_[A-Za-z0-9_-]{43}$/);
    expect(info).toEqual({
      id: key.slice(4, 24),
      userId: 'amina',
      scopes: ['read', 'register'],
      state: 'active',
      issuedAt: now,
      expiresAt: now + 90 * DAY,
      usageCount: 0,
      uses: 1,
    });
    const again = await open();
    expect(again.use(key)).toEqual({
      id: info.id,
      userId: 'amina',
      scopes: ['read', 'register'],
      registration: { id: info.id, uses: 1 },
    });
    expect(await stored()).not.toContain(key.slice(25));
    expect(JSON.stringify(await again.list({ limit: 9 }))).not.toMatch(/hash|agk_/);
    expect((await open('q'.repeat(40))).use(key), 'another pepper').toBeUndefined();
  });

  test('that is wrong in any character, or has another key’s id, is none', async () => {
    const ring = await open();
    const { key } = await ring.issue({ userId: 'amina' });
    const other = await ring.issue({ userId: 'ben' });
    for (let at = 0; at < key.length; at++) {
      const wrong = key.slice(0, at) + (key[at] === 'b' ? 'c' : 'b') + key.slice(at + 1);
      expect(ring.use(wrong), wrong).toBeUndefined();
    }
    expect(ring.use(key.slice(0, 24) + other.key.slice(24))).toBeUndefined();
    for (const wrong of ['', 'agk_', key.slice(0, -1), `${key}x`, ` ${key}`, `${key}\n`])
      expect(ring.use(wrong)).toBeUndefined();
    expect(ring.use(key)).toBeDefined();
  });

  test('ends at its expiry, to the millisecond, and lives no longer than a year', async () => {
    const ring = await open();
    const { key } = await ring.issue({ userId: 'amina', expiresIn: 60 });
    now += 59_999;
    expect(ring.use(key)).toBeDefined();
    now += 1;
    expect(ring.use(key)).toBeUndefined();
    expect(await ring.validate('amina', key)).toBe(false);
    const long = await ring.issue({ userId: 'amina', expiresIn: 1e12 });
    expect(long.expiresAt).toBe(now + 366 * DAY);
  });

  test('that is revoked is refused at once and after a restart; revoking again changes nothing', async () => {
    const ring = await open();
    const first = await ring.issue({ userId: 'amina' });
    const second = await ring.issue({ userId: 'amina' });
    expect(await ring.revoke({ id: first.id })).toMatchObject({ state: 'revoked', revokedAt: now });
    expect(await ring.revoke({ key: second.key })).toMatchObject({ id: second.id, state: 'revoked' });
    now += 1000;
    expect(await ring.revoke({ id: first.id })).toMatchObject({ revokedAt: now - 1000 });
    for (const each of [ring, await open()]) {
      expect(each.use(first.key)).toBeUndefined();
      expect(each.use(second.key)).toBeUndefined();
    }
    await expect(ring.revoke({ id: 'nobody' })).rejects.toMatchObject({ code: 'key-unknown' });
    await expect(ring.revoke({ key: 'agk_x' })).rejects.toMatchObject({ code: 'key-unknown' });
  });

  test('validates for its own user only', async () => {
    const ring = await open();
    const { key } = await ring.issue({ userId: 'amina' });
    expect(await ring.validate('amina', key)).toBe(true);
    expect(await ring.validate('ben', key)).toBe(false);
    expect(await ring.validate('amina', `${key.slice(0, -1)}-`)).toBe(false);
  });
});

describe('rotation', () => {
  test('both are valid for the grace time; the successor has scopes and lifetime of the old one', async () => {
    const ring = await open();
    const old = await ring.issue({ userId: 'amina', scopes: ['worker'], expiresIn: 10 * 24 * 3600 });
    now += DAY;
    const { issued, previous } = await ring.rotate(old.id);
    expect(issued).toMatchObject({ userId: 'amina', scopes: ['worker'], expiresAt: now + 10 * DAY });
    expect(previous).toMatchObject({ id: old.id, expiresAt: now + DAY, replacedBy: issued.id });
    const again = await open();
    expect(again.use(old.key)).toBeDefined();
    expect(again.use(issued.key)).toBeDefined();
    now += DAY;
    expect(again.use(old.key)).toBeUndefined();
    expect(again.use(issued.key)).toBeDefined();
  });

  test('never lengthens a life, needs a living key, and happens once', async () => {
    const ring = await open();
    const old = await ring.issue({ userId: 'amina', expiresIn: 60 });
    const { issued, previous } = await ring.rotate(old.id, 3600);
    expect(previous.expiresAt).toBe(old.expiresAt);
    await expect(ring.rotate(old.id)).rejects.toMatchObject({ code: 'key-inactive' });
    await ring.revoke({ id: issued.id });
    await expect(ring.rotate(issued.id)).rejects.toMatchObject({ code: 'key-inactive' });
    await expect(ring.rotate('nobody')).rejects.toMatchObject({ code: 'key-unknown' });
  });

  test('does not multiply keys: seven old ones stay valid at most, and ended ones are cleared', async () => {
    const ring = await open();
    let { id } = await ring.issue({ userId: 'amina' });
    for (let n = 0; n < KEY_LIMITS.gracePerUser; n++) ({ id } = (await ring.rotate(id)).issued);
    await expect(ring.rotate(id)).rejects.toMatchObject({ code: 'key-limit' });
    for (let n = 0; n < 100; n++) {
      now += 1;
      ({ id } = (await ring.rotate(id, 0)).issued);
    }
    const { keys } = await ring.list({ limit: 1000 });
    expect(keys.length).toBeLessThanOrEqual(KEY_LIMITS.endedPerUser + 9);
    expect((await (await open()).list({ limit: 1000 })).keys).toEqual(keys);
  });
});

describe('bounds', () => {
  test('seven active keys of a user, asked for at once or not; others are not held up', async () => {
    const ring = await open();
    const made = await Promise.allSettled(Array.from({ length: 12 }, () => ring.issue({ userId: 'amina' })));
    expect(made.filter((each) => each.status === 'fulfilled')).toHaveLength(7);
    await expect(ring.issue({ userId: 'amina' })).rejects.toMatchObject({ code: 'key-limit' });
    await ring.issue({ userId: 'ben' });
    const [first] = made;
    if (first?.status !== 'fulfilled') throw new Error('the first was refused');
    const { issued } = await ring.rotate(first.value.id);
    await ring.revoke({ id: issued.id });
    await ring.issue({ userId: 'amina' });
  });

  test('10,000 in all: ended ones give way, living ones do not', async () => {
    const table = keyTable(db, () => undefined);
    const row = { hash: '00', scopes: ['read'], issuedAt: now, expiresAt: now + DAY, usageCount: 0 };
    const rows = Array.from({ length: KEY_LIMITS.total }, (_, n) => ({
      ...row,
      id: n.toString(16).padStart(20, '0'),
      userId: `user-${n}`,
      expiresAt: n === 17 ? now - 1 : row.expiresAt,
    }));
    await table.write(rows, [], { sync: false });
    const ring = await open();
    await ring.issue({ userId: 'amina' });
    expect((await ring.list({ userId: 'user-17', limit: 1 })).keys).toEqual([]);
    await expect(ring.issue({ userId: 'amina' })).rejects.toMatchObject({ code: 'keys-full' });
  });

  test('the cleaner takes what ended more than 30 days ago, and tells how many', async () => {
    const ring = await open();
    const expired = await ring.issue({ userId: 'amina', expiresIn: 60 });
    const revoked = await ring.issue({ userId: 'amina' });
    const living = await ring.issue({ userId: 'amina' });
    await ring.revoke({ id: revoked.id });
    expect(await ring.purgeExpired(now + 30 * DAY)).toBe(0);
    expect(await ring.purgeExpired(now + 30 * DAY + 1)).toBe(1);
    expect(await ring.purgeExpired(now + 31 * DAY)).toBe(1);
    expect(await ring.purgeExpired(now + 31 * DAY)).toBe(0);
    const left = (await (await open()).list({ limit: 9 })).keys.map(({ id }) => id);
    expect(left).toEqual([living.id]);
    expect(left).not.toContain(expired.id);
  });

  test('lists newest first, page by page, each once', async () => {
    const ring = await open();
    for (let n = 0; n < 14; n++) {
      now += 1;
      await ring.issue({ userId: `user-${n % 2}` });
    }
    const seen: number[] = [];
    let cursor: string | undefined;
    do {
      const page = await ring.list({ userId: 'user-1', limit: 3, cursor });
      seen.push(...page.keys.map(({ issuedAt }) => issuedAt));
      cursor = page.cursor;
    } while (cursor !== undefined);
    expect(seen).toHaveLength(7);
    expect(seen).toEqual(seen.toSorted((a, b) => b - a));
  });
});

describe('uses', () => {
  test('are counted without a write for each, and are on disk after a stop', async () => {
    const ring = await open();
    const { id, key } = await ring.issue({ userId: 'amina' });
    const before = await stored();
    for (let n = 0; n < 500; n++) {
      now += 1;
      ring.use(key);
    }
    expect(await stored()).toBe(before);
    const used = { id, usageCount: 500, lastUsedAt: now };
    expect((await ring.list({ limit: 1 })).keys).toMatchObject([used]);
    await ring.stop();
    expect((await (await open()).list({ limit: 1 })).keys).toMatchObject([used]);
    expect((await ring.list({ limit: 1 })).keys).toMatchObject([used]);
  });

  test('are written half a minute after the first of them; a write that fails loses none', async () => {
    const table = keyTable(db, () => undefined);
    const told: unknown[] = [];
    let failing = true;
    const ring = new KeyRing(
      {
        pepper: 'p'.repeat(40),
        env: systemEnv,
        now: () => now,
        refusal: () => undefined,
        onError: (error) => told.push(error),
        table: {
          ...table,
          write: (put, del, options) =>
            failing && !options.sync
              ? Promise.reject(new AgrinetError('storage-failed', 'no'))
              : table.write(put, del, options),
        },
      },
      [],
    );
    const { key } = await ring.issue({ userId: 'amina' });
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      for (const uses of [0, 2]) {
        ring.use(key);
        vi.advanceTimersByTime(29_999);
        await ring.purgeExpired(0); // runs behind whatever is under way
        expect((await open().then((each) => each.list({ limit: 1 }))).keys).toMatchObject([
          { usageCount: 0 },
        ]);
        vi.advanceTimersByTime(1);
        await ring.purgeExpired(0);
        expect((await open().then((each) => each.list({ limit: 1 }))).keys).toMatchObject([
          { usageCount: uses },
        ]);
        failing = false;
      }
      expect(told).toMatchObject([{ code: 'storage-failed' }]);
    } finally {
      vi.useRealTimers();
    }
  });

  test('writing them does not bring back what was revoked meanwhile', async () => {
    const ring = await open();
    const { id, key } = await ring.issue({ userId: 'amina' });
    ring.use(key);
    await Promise.all([ring.revoke({ id }), ring.flush()]);
    expect((await open()).use(key)).toBeUndefined();
    expect((await ring.list({ limit: 1 })).keys).toMatchObject([{ state: 'revoked', usageCount: 1 }]);
  });
});

describe('trouble', () => {
  test('while nothing may be written, keys work, changes are refused, uses are kept', async () => {
    const ring = await open();
    const { id, key } = await ring.issue({ userId: 'amina' });
    refusal = new AgrinetError('disk-full', 'full');
    expect(ring.use(key)).toBeDefined();
    for (const change of [ring.issue({ userId: 'a' }), ring.revoke({ id }), ring.rotate(id)])
      await expect(change).rejects.toMatchObject({ code: 'disk-full' });
    const before = await stored();
    await ring.flush();
    expect(await stored()).toBe(before);
    refusal = undefined;
    await ring.flush();
    expect((await (await open()).list({ limit: 1 })).keys).toMatchObject([{ usageCount: 1 }]);
  });

  test('a damaged row is named and its key refused; the others go on', async () => {
    const ring = await open();
    const first = await ring.issue({ userId: 'amina' });
    const second = await ring.issue({ userId: 'ben' });
    const row = fullKey('apiKeys', first.id);
    const value = await db.level.get(row);
    if (value === undefined) throw new Error('no row');
    const flipped = Uint8Array.from(value);
    flipped[30] = (flipped[30] ?? 0) ^ 1;
    await db.level.put(row, flipped);
    const again = await open();
    expect(damaged).toEqual([row]);
    expect(again.use(first.key)).toBeUndefined();
    expect(again.use(second.key)).toBeDefined();
  });

  test('reload takes what the database says', async () => {
    const ring = await open();
    const { id, key } = await ring.issue({ userId: 'amina' });
    await keyTable(db, () => undefined).write([], [id], { sync: true });
    expect(ring.use(key)).toBeDefined();
    await ring.reload();
    expect(ring.use(key)).toBeUndefined();
  });
});

test('another pepper takes over every key that is used in its grace time, over restarts, and no other', async () => {
  const [old, next] = ['p'.repeat(40), 'q'.repeat(40)];
  const first = await open(old);
  const [used, idle] = [await first.issue({ userId: 'amina' }), await first.issue({ userId: 'ben' })];
  await first.stop();
  const until = now + DAY;
  const both = await open(next, { secret: old, until });
  const fresh = await both.issue({ userId: 'chao' });
  for (const { key, userId } of [used, fresh]) expect(both.use(key)).toMatchObject({ userId });
  expect(both.use(`${used.key.slice(0, -1)}${used.key.endsWith('A') ? 'B' : 'A'}`)).toBeUndefined();
  await both.flush();
  expect((await both.list({ limit: 9, userId: 'amina' })).keys[0]).toMatchObject({ usageCount: 1 });
  const again = await open(next, { secret: old, until });
  now = until - 1;
  expect(again.use(idle.key)).toMatchObject({ userId: 'ben' });
  now = until;
  // What was used at the last moment is not on disk yet, and no longer taken.
  expect(again.use(idle.key)).toBeUndefined();
  for (const { key, userId } of [used, fresh]) expect(again.use(key)).toMatchObject({ userId });
  await again.flush();
  const alone = await open(next);
  for (const { key, userId } of [used, idle, fresh]) expect(alone.use(key)).toMatchObject({ userId });
});

it('remembers hashes of the keys in use, and of any number of others gives the right one', () => {
  const hashOf = keyHasher('pepper');
  const keys = Array.from({ length: 600 }, (_, i) => `key-${i}`).concat('x'.repeat(129));
  for (const key of [...keys, ...keys]) expect(hashOf(key)).toEqual(keyedHash('pepper', key));
  expect(hashOf('key-1')).toBe(hashOf('key-1'));
  // Whoever sends long ones fills no memory.
  expect(hashOf('x'.repeat(129))).not.toBe(hashOf('x'.repeat(129)));
});
