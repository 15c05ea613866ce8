import { statfs } from 'node:fs/promises';
import type { Env } from '../../protocols/env.ts';
import { folderBytes } from '../folder-bytes.ts';
import type { Node } from '../parts/running.ts';
import type { Exposition } from './exposition.ts';
import { METRICS_LIMITS } from './metrics-table.ts';

/** Figures that a failing disk does not give: all others must still be shown. */
const UNKNOWN = Number.NaN;

/** The database and its disk. */
export function createDiskFigures(
  { db, settings, env }: Pick<Node, 'db' | 'settings' | 'env'>,
  exposition: Exposition,
): { refresh(): Promise<void> } {
  const size = cachedFor(METRICS_LIMITS.sizeKeptMs, env, () => folderBytes(db.folder));
  return {
    async refresh() {
      const { batches, synced, failed, reopened } = db.counts;
      exposition.show('batches', [
        [{ synced: 'yes' }, synced],
        [{ synced: 'no' }, batches - synced],
      ]);
      exposition.show('batchesFailed', failed);
      exposition.show('reopenings', reopened);
      // While the database is being reopened there is nothing to ask.
      const files = db.failed ? [] : db.levelFiles();
      exposition.show(
        'levelFiles',
        files.map((count, level) => [{ level: String(level) }, count] as const),
      );
      const free = await statfs(settings.dataDir).then(
        ({ bavail, bsize }) => bavail * bsize,
        () => UNKNOWN,
      );
      exposition.show('diskFree', free);
      exposition.show('diskReserve', settings.diskReserveMb * 1024 * 1024);
      exposition.show('size', await size());
    },
  };
}

/** A value that is read again only when it is this old. */
function cachedFor(
  ms: number,
  { monotonic }: Pick<Env, 'monotonic'>,
  ask: () => Promise<number>,
): () => Promise<number> {
  let at = -Infinity;
  let value: Promise<number> = Promise.resolve(0);
  return () => {
    if (monotonic() - at >= ms) {
      at = monotonic();
      value = ask();
    }
    return value;
  };
}
