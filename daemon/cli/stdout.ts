import { writeSync } from 'node:fs';
import { AgrinetError, errorMessage, systemCode } from '../../protocols/errors.ts';

const STDOUT = 1;
/** Between two tries at a pipe that somebody made non-blocking and that is full. */
const AGAIN_MS = 5;

/**
 * Where every command prints. `console.log` and `process.stdout` keep quiet about a full disk, and a write of half the bytes counts
 * as done there; here everything is out when `write` returns, or it throws `output-failed` and the command ends with that exit code.
 */
export const stdout = {
  write(text: string): void {
    writeAll(Buffer.from(text), (bytes, from) => writeSync(STDOUT, bytes, from));
  },
};

/** Writes all of it by calls that may take less, or say EAGAIN. Throws `output-failed`. */
export function writeAll(bytes: Uint8Array, write: (bytes: Uint8Array, from: number) => number): void {
  for (let from = 0; from < bytes.length;) {
    try {
      from += write(bytes, from);
    } catch (error) {
      if (systemCode(error) !== 'EAGAIN')
        throw new AgrinetError('output-failed', `the output could not be written: ${errorMessage(error)}`, {
          cause: error,
        });
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, AGAIN_MS);
    }
  }
}
