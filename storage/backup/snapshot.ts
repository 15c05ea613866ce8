import { Digests } from '../digests.ts';
import { KEYSPACE, type SublevelName } from '../keyspace.ts';
import type { Level } from '../level.ts';
import { LAYOUT, VERSION } from '../migrations.ts';
import { verifiedJson, verifyChecksum } from '../values.ts';
import type { StoredPair } from './records.ts';

/** Sublevels that are left out; everything else is included, also what is added later. `storage/README.md` has the reasons. */
const LEFT_OUT: readonly SublevelName[] = ['journal', 'addresses', 'fetched', 'sessions'];
/** Sublevels that must not be found damaged on the day of the restore: a backup is refused while one is. */
const CHECKED: readonly SublevelName[] = [
  'meta',
  'feeds',
  'entries',
  'records',
  'verdicts',
  'digests',
  'forks',
  'erasures',
  'checkpoints',
  'floors',
  'registry',
  'apiKeys',
  'attachments',
];
const prefixes = (names: readonly SublevelName[]): ReadonlySet<string> =>
  new Set(names.map((name) => `${KEYSPACE[name].prefix}!`));
const leftOut = prefixes(LEFT_OUT);
const checked = prefixes(CHECKED);
/** Held in memory by an iterator, in bytes. */
const READ_AHEAD = 256 * 1024;

const BEHIND_ALL = '~';

/** The database at one moment, while writing continues. LevelDB keeps what it replaces until `close`, so `close` must be called. */
export interface BackupSnapshot {
  readonly layout: number;
  readonly digest: string;
  /** All that travels, in the order of keys. Once. Throws `value-damaged`. */
  pairs(): AsyncGenerator<StoredPair>;
  /** How far a key is in all of it, from 0 to 1; about. */
  position(key: string): Promise<number>;
  /** Also while `pairs` is being read, which then fails. */
  close(): Promise<void>;
}

export async function openSnapshot(level: Level): Promise<BackupSnapshot> {
  const snapshot = level.snapshot();
  try {
    const stamp = await level.get(VERSION, { snapshot });
    const digests = new Digests();
    (await digests.read({ level }, snapshot))();
    const whole = await level.approximateSize('', BEHIND_ALL);
    const iterator = level.iterator({ snapshot, highWaterMarkBytes: READ_AHEAD });
    return {
      layout: stamp === undefined ? LAYOUT : verifiedJson<number>(VERSION, stamp),
      digest: digests.total(),
      async *pairs() {
        for await (const [key, value] of iterator) {
          const prefix = key.slice(0, 2);
          if (leftOut.has(prefix)) continue;
          if (checked.has(prefix)) verifyChecksum(key, value);
          yield [key, value];
        }
      },
      async position(key) {
        return whole === 0 ? 0 : (await level.approximateSize('', key)) / whole;
      },
      async close() {
        await iterator.close();
        await snapshot.close();
      },
    };
  } catch (error) {
    await snapshot.close();
    throw error;
  }
}
