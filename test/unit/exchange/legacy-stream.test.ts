import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type ExportItem, readExport } from '../../../daemon/federation/legacy-stream.ts';
import { systemEnv } from '../../../daemon/system-env.ts';
import { legacyRow } from '../../../protocols/market/legacy.ts';

async function* chunks(text: string, size: number): AsyncGenerator<Uint8Array> {
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function read(text: string, size = 7) {
  const found: ExportItem[] = [];
  const items = readExport(chunks(text, size), systemEnv);
  let next = await items.next();
  for (; next.done !== true; next = await items.next()) found.push(next.value);
  return { items: found, summary: next.value };
}

describe('an export read as a stream', () => {
  it('gives what JSON.parse gives, however it is cut', async () => {
    const value = fc.jsonValue({ maxDepth: 5 });
    await fc.assert(
      fc.asyncProperty(
        fc.array(value, { maxLength: 8 }),
        fc.integer({ min: 1, max: 40 }),
        async (listings, size) => {
          const text = JSON.stringify({ before: { a: [1] }, listings, count: listings.length, users: [] });
          const { items, summary } = await read(text, size);
          expect(items.map((item) => JSON.stringify(item.value))).toEqual(
            (JSON.parse(text) as { listings: unknown[] }).listings.map((item) => JSON.stringify(item)),
          );
          expect(summary).toMatchObject({ count: listings.length, claimedCount: listings.length });
        },
      ),
      { numRuns: 300 },
    );
  });

  it('passes over what is too large or too deep, and goes on', async () => {
    const deep = '['.repeat(40) + ']'.repeat(40);
    const { items } = await read(`{"listings":[{"a":"${'x'.repeat(300_000)}"},${deep},{"id":"c"}]}`, 5000);
    expect(items.map(({ problem }) => problem?.slice(0, 6))).toEqual(['larger', 'nested', undefined]);
    expect(items[2]?.value).toEqual({ id: 'c' });
  });

  it.each([
    '',
    '[]',
    '"text"',
    '{"listings":[1,',
    '{"listings":[{"a":1}]',
    '{"a":1}}',
    '{"a":1}{',
    '{"a":nul}',
    '{"listings":[\u0000]}',
    `{"listings":[${'['.repeat(300)}${']'.repeat(300)}]}`,
  ])('refuses %j', async (text) => {
    await expect(read(text)).rejects.toMatchObject({ code: 'export-malformed' });
  });

  it('ends a body of more items than any market has, before it has cost minutes', async () => {
    const text = `{"listings":[${'1,'.repeat(1_000_001)}1]}`;
    await expect(read(text, 65_536)).rejects.toMatchObject({ code: 'export-malformed' });
  });

  it('keeps names of objects from reaching their prototype', async () => {
    const { items } = await read(
      '{"listings":[{"__proto__":{"polluted":1},"id":"a","title":"b","updatedAt":"2026-01-01"}]}',
    );
    const row = legacyRow('listings', items[0]?.value, Date.now());
    expect(typeof row === 'object' && JSON.stringify(row.item)).toContain('__proto__');
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  });
});

describe('an item of an old node', () => {
  const now = Date.UTC(2026, 5, 1);
  const good = { id: 'a', title: 'Maize', updatedAt: '2026-01-01T00:00:00Z' };

  it('is never more than refused, whatever it is', () => {
    fc.assert(
      fc.property(
        fc.anything(),
        fc.constantFrom('listings', 'contracts', 'transactions', 'users'),
        (value, collection) => {
          const row = legacyRow(collection, value, now);
          expect(['string', 'object']).toContain(typeof row);
        },
      ),
    );
  });

  it.each([
    [{ ...good, price: '12.50' }, 'ok'],
    [{ ...good, id: 17 }, 'ok'],
    [{ ...good, updatedAt: undefined, createdAt: 1_767_225_600_000 }, 'ok'],
    [{ ...good, id: 'a b' }, 'ok'],
    [{ ...good, id: 'a\tb' }, /^id/],
    [{ ...good, price: -1 }, /^price/],
    [{ ...good, title: '' }, /^title/],
    [{ ...good, updatedAt: 'soon' }, /neither/],
    [{ ...good, updatedAt: '2026-06-03T00:00:00Z' }, /ahead/],
  ])('%j', (item, expected) => {
    const row = legacyRow('listings', item, now);
    if (typeof expected === 'string') expect(row).toMatchObject({ collection: 'listings' });
    else expect(row).toMatch(expected);
  });

  it('loses what is personal at any depth', () => {
    const item = {
      ...good,
      Email: 'x',
      e_mail: 'x',
      a: [{ contactEmail: 'x', phoneNumber: 'x', passwordHash: 'x', name: 'n' }],
      contactEmails: ['x'],
      userEmailAddress: 'x',
      owner_phone_2: 'x',
      hashedPassword1: 'x',
      tel: 'x',
      telescope: 1,
    };
    const row = legacyRow('listings', item, now);
    expect(typeof row === 'object' && JSON.parse(JSON.stringify(row.item))).toEqual({
      ...good,
      a: [{ name: 'n' }],
      telescope: 1,
    });
  });
});
