import { type BatchOp, fullKey } from './keyspace.ts';
import type { Level } from './level.ts';
import { putJson, verifiedJson } from './values.ts';

/** Numbers up to this may have been given; written with the first commit that goes beyond it. */
const RESERVED = fullKey('meta', 'op numbers');
const STEP = 1_000_000;
/** As a row of `recordOps` holds one: more than can ever be given. */
const BYTES = 6;

/** Numbers of changes in the order in which this node applied them; none is given twice, over restarts, forks and rebuilds. */
export class OpNumbers {
  #last = 0;
  #reserved = 0;

  async read(level: Level): Promise<void> {
    this.#reserved = await reservedNumbers(level);
    this.#last = Math.max(this.#last, this.#reserved);
  }

  next(): number {
    return ++this.#last;
  }

  /** Adds the row that keeps what a commit uses from being given again. */
  reserve(ops: BatchOp[]): void {
    if (this.#last <= this.#reserved) return;
    this.#reserved = this.#last + STEP;
    ops.push(putJson(RESERVED, this.#reserved));
  }
}

/** The largest number that may have been given. */
export async function reservedNumbers(level: Level): Promise<number> {
  const value = await level.get(RESERVED);
  return value === undefined ? 0 : verifiedJson<number>(RESERVED, value);
}

export function opNumberBytes(no: number): Uint8Array {
  const bytes = Buffer.alloc(BYTES);
  bytes.writeUIntBE(no, 0, BYTES);
  return bytes;
}

export function opNumberIn(bytes: Uint8Array): number {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).readUIntBE(0, BYTES);
}
