import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isoTime } from '../protocols/wire/iso-time.ts';
import { exists, makeFolder, refuseNoFolder } from './folder.ts';
import { openHead } from './head-file.ts';
import type { HeadNote, Level, LevelHome, LevelOptions } from './level.ts';
import { openLevel, repairLevel } from './open-level.ts';
import { refuseHalfRestored } from './restored.ts';
import { checkLive, isMissingRoot, liveTables, writeCleanMark } from './table-check.ts';
import { systemCode } from '../protocols/errors.ts';

/** LevelDB in `DATA_DIR/db`, with the files `initialized` and `head` beside it. */
export class LevelFolder implements LevelHome {
  readonly folder: string;
  readonly #dataDir: string;
  readonly #marker: string;

  constructor(dataDir: string) {
    this.#dataDir = dataDir;
    this.folder = join(dataDir, 'db');
    this.#marker = join(dataDir, 'initialized');
  }

  async look(): Promise<{ initialized: boolean; present: boolean }> {
    await refuseNoFolder(this.#dataDir);
    await refuseHalfRestored(this.#dataDir);
    const initialized = await exists(this.#marker);
    return {
      initialized,
      present: (await exists(join(this.folder, 'CURRENT'))) || (await isMissingRoot(this.folder)),
    };
  }

  async open(options: LevelOptions): Promise<{ level: Level; repaired: boolean }> {
    if (options.createIfMissing) await makeFolder(this.#dataDir);
    return openLevel(this.folder, options);
  }

  repair(options: Pick<LevelOptions, 'writeBufferBytes' | 'now'>): Promise<Level> {
    return repairLevel(this.folder, options);
  }

  check(level: Level, mayGoOn: () => Promise<boolean>): Promise<readonly string[]> {
    return checkLive(this.folder, liveTables(level.getProperty('leveldb.sstables')), mayGoOn);
  }

  /** A failure here makes the next start read all tables, nothing else. */
  closed(): Promise<void> {
    return writeCleanMark(this.folder).catch(() => undefined);
  }

  head(): HeadNote {
    return openHead(join(this.#dataDir, 'head'));
  }

  async initialize(now: number): Promise<void> {
    await writeFile(this.#marker, `${isoTime(now)}\n`, { flag: 'wx' }).catch(ignoreExisting);
  }
}

function ignoreExisting(error: unknown): void {
  if (systemCode(error) === 'EEXIST') return;
  throw error;
}
