import { setImmediate } from 'node:timers/promises';
import { diskError, WatchedDisk } from './watched-disk.ts';

/** A real database whose batches are slow, and fail by chance: some of them are written all the same. */
export class FaultyDisk extends WatchedDisk {
  readonly #random: () => number;
  /** How likely a batch fails. */
  trouble = 0;
  readonly counts = { written: 0, lost: 0, unsure: 0 };

  constructor(dataDir: string, random: () => number) {
    super(dataDir);
    this.#random = random;
  }

  protected override async written(write: () => Promise<void>): Promise<void> {
    for (let n = Math.floor(this.#random() * 12); n > 0; n--) await setImmediate();
    const fails = this.#random() < this.trouble;
    const isWritten = !fails || this.#random() < 0.5;
    if (isWritten) await write();
    for (let n = Math.floor(this.#random() * 12); n > 0; n--) await setImmediate();
    this.counts[fails ? (isWritten ? 'unsure' : 'lost') : 'written']++;
    if (fails) throw diskError();
  }
}
