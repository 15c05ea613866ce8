import { existsSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { tempDir } from './temp-dir.ts';

/** Where Debian and Ubuntu put the library that threads can use too, by architecture. */
const LIBRARY = [process.arch === 'arm64' ? 'aarch64' : 'x86_64']
  .map((machine) => `/usr/lib/${machine}-linux-gnu/faketime/libfaketimeMT.so.1`)
  .find((path) => existsSync(path));

/** Why no process can be given a wall clock of its own here, with the cure, or undefined when one can. */
export function faketimeLacking(): string | undefined {
  return LIBRARY === undefined ? 'no libfaketime here; install it with: apt-get install faketime' : undefined;
}

/** A wall clock that a process is given in the place of this machine's; its monotonic clock stays as it is, or goes with it. */
export interface FakeClock {
  /** For the environment of the process. */
  readonly env: Readonly<Record<string, string>>;
  /** Sets it, as `+40y`, `-56y`, `+3h` or `+0` from this machine's time; at once, and by a single step. */
  set(offset: string): void;
  remove(): void;
}

export function fakeClock({ withTimers = false } = {}): FakeClock {
  const dir = tempDir('faketime');
  const file = join(dir.path, 'offset');
  const set = (offset: string): void => {
    // Whole or not at all: the file is read at every look at the clock.
    writeFileSync(`${file}.new`, `${offset}\n`);
    renameSync(`${file}.new`, file);
  };
  set('+0');
  return {
    env: {
      LD_PRELOAD: LIBRARY ?? '',
      FAKETIME_TIMESTAMP_FILE: file,
      FAKETIME_NO_CACHE: '1',
      ...(withTimers ? {} : { DONT_FAKE_MONOTONIC: '1', FAKETIME_DONT_FAKE_MONOTONIC: '1' }),
    },
    set,
    remove: () => dir.remove(),
  };
}
