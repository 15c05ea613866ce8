import { expect, it } from 'vitest';
import { systemEnv } from '../../../daemon/system-env.ts';
import { Database } from '../../../storage/database.ts';
import { lostAt, readRejoin, saveRejoin } from '../../../storage/rejoin-note.ts';
import { REJOIN } from '../../../storage/rejoin-row.ts';
import { tempDir } from '../../support/temp-dir.ts';

it('a loss that is settled holds nothing up, and stays known', async () => {
  const dir = tempDir('rejoin-note');
  const db = await Database.open(dir.path, systemEnv);
  try {
    expect(await lostAt(db, 7)).toBeUndefined();
    await saveRejoin(db, undefined);
    expect(await lostAt(db, 7)).toBeUndefined();
    await saveRejoin(db, { cause: 'restored', since: 5, answered: [] });
    expect(await readRejoin(db, 7)).toMatchObject({ cause: 'restored', since: 5 });
    await saveRejoin(db, undefined);
    expect(await readRejoin(db, 7)).toBeUndefined();
    expect(await lostAt(db, 7)).toBe(5);
    await saveRejoin(db, { cause: 'tail-lost', since: 6, answered: ['somebody'] });
    expect(await readRejoin(db, 7)).toEqual({ cause: 'tail-lost', since: 6, answered: ['somebody'] });
    await db.level.put(REJOIN, new Uint8Array([1, 2, 3]), {});
    expect(await readRejoin(db, 7)).toMatchObject({ cause: 'repaired', since: 7 });
    expect(await lostAt(db, 7)).toBe(7);
  } finally {
    await db.close();
    dir.remove();
  }
});
