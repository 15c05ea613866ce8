import { expect, it } from 'vitest';
import { askedListings } from '../../../api/asked-listings.ts';
import { type StoredWant, WANT_LIMITS, WantBook } from '../../../daemon/wants/want-book.ts';
import { systemEnv } from '../../../daemon/system-env.ts';
import { AgrinetError } from '../../../protocols/errors.ts';
import { ChangedListingRows } from '../../../storage/want-table.ts';

const NOON = 1_700_000_000_000;

/** A book over a table in memory. */
async function bookOf(stored: readonly StoredWant[] = []) {
  const state = { now: NOON, fault: undefined as AgrinetError | undefined, gone: '' };
  const table = new Map(stored.map((want) => [want.id, want]));
  const rows = new ChangedListingRows();
  const book = new WantBook({
    table: {
      load: async () => [...table.values()],
      change: async (put, removed) => {
        if (state.fault !== undefined) throw state.fault;
        for (const want of put) table.set(want.id, want);
        for (const id of removed) table.delete(id);
      },
    },
    rows,
    asked: (query) => askedListings(query, { reason: () => undefined, active: true }),
    isUser: (userId) => userId !== state.gone,
    env: { ...systemEnv, now: () => state.now },
    refusal: () => undefined,
    warn: () => undefined,
  });
  await book.load();
  return { state, table, book };
}
const wanted = (userId: string, until?: number) => ({ userId, until, query: { q: 'maize' } });
const full = { code: 'wants-full' };

it('a user has 50 wants; one that is deleted or has ended makes room, and is gone from the disk', async () => {
  const { state, table, book } = await bookOf();
  for (let n = 1; n < WANT_LIMITS.ofUser; n++) await book.save(wanted('amina'));
  const last = await book.save(wanted('amina', NOON + 1000));
  await expect(book.save(wanted('amina'))).rejects.toMatchObject(full);
  await book.save(wanted('ben'));
  const ids = () => book.list('amina', 100).wants.map(({ id }) => id);
  expect(ids()).toContain(last.id);
  state.now += 1000;
  expect(() => book.get('amina', last.id)).toThrow('Not found');
  expect(ids()).not.toContain(last.id);
  const next = await book.save(wanted('amina'));
  expect(table.has(last.id)).toBe(false);
  await expect(book.save(wanted('amina'))).rejects.toMatchObject(full);
  await book.remove('amina', next.id);
  await book.save(wanted('amina'));
});

it('those of a user who is gone go with the next one that is saved', async () => {
  const { state, table, book } = await bookOf();
  const left = await book.save(wanted('amina'));
  state.gone = 'amina';
  await expect(book.save(wanted('amina'))).rejects.toMatchObject({ code: 'user-unknown' });
  const { id } = await book.save(wanted('ben'));
  expect([...table.keys()]).toEqual([id]);
  expect(() => book.get('amina', left.id)).toThrow('Not found');
});

it('a node has 10,000 wants of all its users', async () => {
  const { ofNode, ofUser } = WANT_LIMITS;
  const { book } = await bookOf(
    Array.from({ length: ofNode - 1 }, (_, n) => ({
      ...wanted(`user-${Math.floor(n / ofUser)}`),
      id: `w${n}`,
      createdAt: NOON,
      after: 0,
    })),
  );
  await book.save(wanted('amina'));
  await expect(book.save(wanted('ben'))).rejects.toMatchObject(full);
  await book.remove('user-0', 'w0');
  await book.save(wanted('ben'));
  expect(book.size).toBe(ofNode);
});

it('what the disk did not take is not shown', async () => {
  const { state, book } = await bookOf();
  const kept = await book.save(wanted('amina'));
  state.fault = new AgrinetError('disk-full', 'full');
  await expect(book.save(wanted('amina'))).rejects.toMatchObject({ code: 'disk-full' });
  await expect(book.remove('amina', kept.id)).rejects.toMatchObject({ code: 'disk-full' });
  expect(book.list('amina', 10)).toMatchObject({ wants: [{ id: kept.id }] });
  await book.load();
  expect(book.list('amina', 10)).toMatchObject({ wants: [{ id: kept.id }] });
});
