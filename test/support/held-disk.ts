import { setImmediate } from 'node:timers/promises';
import type { BatchOp } from '../../storage/keyspace.ts';
import type { Level, LevelHome, LevelOptions, WriteOptions } from '../../storage/level.ts';
import { LevelFolder } from '../../storage/level-folder.ts';

/** A real database whose batches of own writes can be held up, and then written or failed. */
export class HeldDisk implements LevelHome {
  readonly #home: LevelFolder;
  #gate: { readonly opened: Promise<void>; open(): void; fail(error: Error): void } | undefined;
  /** Batches that LevelDB has been given and not answered, and the most there were at once. */
  inside = 0;
  most = 0;

  constructor(dataDir: string) {
    this.#home = new LevelFolder(dataDir);
  }

  /** From now on a batch waits, inside LevelDB as far as anybody can tell. */
  hold(): void {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    promise.catch(() => undefined); // told to the batch that waits
    this.#gate = { opened: promise, open: resolve, fail: reject };
  }

  /** Writes what waits, and all that comes. */
  release(): void {
    this.#gate?.open();
    this.#gate = undefined;
  }

  /** What waits fails, and nothing of it is written. */
  fail(): void {
    this.#gate?.fail(Object.assign(new Error('I/O error'), { code: 'LEVEL_IO_ERROR' }));
    this.#gate = undefined;
  }

  /** Resolves when a batch waits. */
  async held(): Promise<void> {
    while (this.inside === 0) await setImmediate();
  }

  check(level: Level, mayGoOn: () => Promise<boolean>): Promise<readonly string[]> {
    return this.#home.check(level, mayGoOn);
  }

  closed(): Promise<void> {
    return this.#home.closed();
  }

  async #written(write: () => Promise<void>): Promise<void> {
    this.inside++;
    this.most = Math.max(this.most, this.inside);
    try {
      await this.#gate?.opened;
      await write();
    } finally {
      this.inside--;
    }
  }

  async open(options: LevelOptions): Promise<{ readonly level: Level; readonly repaired: boolean }> {
    const { level, repaired } = await this.#home.open(options);
    const written = (write: () => Promise<void>): Promise<void> => this.#written(write);
    const held = new Proxy(level, {
      get(target, name) {
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value !== 'function') return value;
        if (name !== 'batch') return value.bind(target);
        return (ops?: BatchOp[], options?: WriteOptions) =>
          ops === undefined ? target.batch() : written(() => target.batch(ops, options));
      },
    });
    return { level: held, repaired };
  }

  get folder(): string {
    return this.#home.folder;
  }

  look: LevelHome['look'] = () => this.#home.look();
  repair: LevelHome['repair'] = (options) => this.#home.repair(options);
  head: LevelHome['head'] = () => this.#home.head();
  initialize: LevelHome['initialize'] = (now) => this.#home.initialize(now);
}
