import { expect, it } from 'vitest';
import type { User } from '../../../api/ports/users.ts';
import { USER_LIMITS, Directory } from '../../../daemon/users/directory.ts';
import { AgrinetError } from '../../../protocols/errors.ts';

/** A directory over a table in memory. */
function directoryOf(rows: readonly User[], fault: { error?: AgrinetError } = {}) {
  const table = new Map(rows.map((row) => [row.id, row]));
  return Directory.open({
    table: {
      load: async () => [...table.values()],
      put: async (row) => {
        if (fault.error !== undefined) throw fault.error;
        table.set(row.id, row);
      },
      remove: async (id) => void table.delete(id),
    },
    keys: { isUser: () => false, holders: () => new Set() },
    now: () => 1_700_000_000_000,
    refusal: () => undefined,
  });
}

it('10,000 users can be entered; those who are can still be changed, and one who goes makes room', async () => {
  const rows = Array.from({ length: USER_LIMITS.entered - 1 }, (_, n) => ({ id: `user-${n}` }));
  const directory = await directoryOf(rows);
  await directory.change('last', { sms: false });
  await expect(directory.change('over', {})).rejects.toMatchObject({ code: 'users-full' });
  expect(directory.isUser('over')).toBe(false);
  expect(await directory.change('last', { sms: true })).toMatchObject({ id: 'last', sms: true });
  await directory.remove('user-0');
  await directory.change('over', {});
  expect(directory.isUser('over')).toBe(true);
});

it('a change that the disk did not take is not shown', async () => {
  const fault: { error?: AgrinetError } = {};
  const directory = await directoryOf([{ id: 'amina', region: 'Kisumu' }], fault);
  fault.error = new AgrinetError('disk-full', 'full');
  await expect(directory.change('amina', { region: 'Mombasa' })).rejects.toMatchObject({ code: 'disk-full' });
  expect(directory.get('amina')).toEqual({ id: 'amina', region: 'Kisumu' });
  await directory.reload();
  expect(directory.find('amina')).toEqual({ id: 'amina', region: 'Kisumu' });
});
