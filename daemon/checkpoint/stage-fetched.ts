import type { Database } from '../../storage/database.ts';
import { FloorStaging } from '../../storage/floor-staging.ts';
import type { FloorTable } from '../../storage/floor-table.ts';
import type { FetchedSnapshot } from './fetched-snapshot.ts';

/**
 * Stores the floors of a snapshot that was fetched and verified, so that they can take effect, and which ops of which entries stay as evidence.
 * False for one whose chunks are cut in another way than theirs is: then nothing of it is stored. Nothing may be taking effect of its author.
 */
export async function stageFetched(
  { db, floors }: { readonly db: Pick<Database, 'batch'>; readonly floors: FloorTable },
  snapshot: FetchedSnapshot,
): Promise<boolean> {
  const covers = (await Array.fromAsync(snapshot.covers())).flat();
  const staging = await FloorStaging.begin(
    db,
    floors,
    snapshot.checkpoint,
    covers,
    undefined,
    snapshot.counts,
  );
  try {
    for await (const records of snapshot.records())
      for (const { key, items, erased } of records) {
        if (key !== undefined) await staging.add(key, items);
        if (erased.length > 0) await staging.addErased(erased);
      }
    for await (const entries of snapshot.evidence())
      for (const { header, body } of entries) {
        const whole = body.flatMap((item, index) => ('op' in item ? [index] : []));
        await staging.keep(header.epoch, header.seq, whole);
      }
    return await staging.end();
  } catch (error) {
    await staging.drop();
    throw error;
  }
}
