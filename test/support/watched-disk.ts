import type { BatchOp } from '../../storage/keyspace.ts';
import type { Level, LevelHome, LevelOptions, WriteOptions } from '../../storage/level.ts';
import { LevelFolder } from '../../storage/level-folder.ts';

/** A real database each of whose batches goes through `written`. */
export abstract class WatchedDisk implements LevelHome {
  readonly #home: LevelFolder;

  constructor(dataDir: string) {
    this.#home = new LevelFolder(dataDir);
  }

  /** Writes a batch, sooner or later, or throws. */
  protected abstract written(write: () => Promise<void>): Promise<void>;

  async open(options: LevelOptions): Promise<{ readonly level: Level; readonly repaired: boolean }> {
    const { level, repaired } = await this.#home.open(options);
    const written = (write: () => Promise<void>): Promise<void> => this.written(write);
    const watched = new Proxy(level, {
      get(target, name) {
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value !== 'function') return value;
        if (name !== 'batch') return value.bind(target);
        return (ops?: BatchOp[], how?: WriteOptions) =>
          ops === undefined ? target.batch() : written(() => target.batch(ops, how));
      },
    });
    return { level: watched, repaired };
  }

  get folder(): string {
    return this.#home.folder;
  }

  look: LevelHome['look'] = () => this.#home.look();
  repair: LevelHome['repair'] = (options) => this.#home.repair(options);
  check: LevelHome['check'] = (level, mayGoOn) => this.#home.check(level, mayGoOn);
  closed: LevelHome['closed'] = () => this.#home.closed();
  head: LevelHome['head'] = () => this.#home.head();
  initialize: LevelHome['initialize'] = (now) => this.#home.initialize(now);
}

/** What LevelDB throws when the disk does. */
export const diskError = (): Error => Object.assign(new Error('I/O error'), { code: 'LEVEL_IO_ERROR' });
