import { setImmediate } from 'node:timers/promises';
import { diskError, WatchedDisk } from './watched-disk.ts';

/** A real database whose batches of own writes can be held up, and then written or failed. */
export class HeldDisk extends WatchedDisk {
  #gate: { readonly opened: Promise<void>; open(): void; fail(error: Error): void } | undefined;
  /** Batches that LevelDB has been given and not answered, and the most there were at once. */
  inside = 0;
  most = 0;

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
    this.#gate?.fail(diskError());
    this.#gate = undefined;
  }

  /** Resolves when a batch waits. */
  async held(): Promise<void> {
    while (this.inside === 0) await setImmediate();
  }

  protected override async written(write: () => Promise<void>): Promise<void> {
    this.inside++;
    this.most = Math.max(this.most, this.inside);
    try {
      await this.#gate?.opened;
      await write();
    } finally {
      this.inside--;
    }
  }
}
