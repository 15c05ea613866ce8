import { setImmediate } from 'node:timers/promises';
import type { BatchOp } from '../../storage/keyspace.ts';
import type { Level, LevelHome, LevelOptions, WriteOptions } from '../../storage/level.ts';
import { LevelFolder } from '../../storage/level-folder.ts';

/** A real database whose batches are slow, and fail by chance: some of them are written all the same. */
export class FaultyDisk implements LevelHome {
  readonly #home: LevelFolder;
  readonly #random: () => number;
  /** How likely a batch fails. */
  trouble = 0;
  readonly counts = { written: 0, lost: 0, unsure: 0 };

  constructor(dataDir: string, random: () => number) {
    this.#home = new LevelFolder(dataDir);
    this.#random = random;
  }

  async #written(write: () => Promise<void>): Promise<void> {
    for (let n = Math.floor(this.#random() * 12); n > 0; n--) await setImmediate();
    const fails = this.#random() < this.trouble;
    const isWritten = !fails || this.#random() < 0.5;
    if (isWritten) await write();
    for (let n = Math.floor(this.#random() * 12); n > 0; n--) await setImmediate();
    this.counts[fails ? (isWritten ? 'unsure' : 'lost') : 'written']++;
    if (fails) throw Object.assign(new Error('I/O error'), { code: 'LEVEL_IO_ERROR' });
  }

  async open(options: LevelOptions): Promise<{ readonly level: Level; readonly repaired: boolean }> {
    const { level, repaired } = await this.#home.open(options);
    const written = (write: () => Promise<void>): Promise<void> => this.#written(write);
    const faulty = new Proxy(level, {
      get(target, name) {
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value !== 'function') return value;
        if (name !== 'batch') return value.bind(target);
        return (ops?: BatchOp[], options?: WriteOptions) =>
          ops === undefined ? target.batch() : written(() => target.batch(ops, options));
      },
    });
    return { level: faulty, repaired };
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
