import { AgrinetError } from '../errors.ts';
import type { ChangeErrorCode } from './columns.ts';
import { MAX_COUNTER, refusal } from './columns.ts';

const strictText = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Reads forward through part of a chunk and never past `end`; throws for what is too short or overlong. */
export class Reader {
  readonly #bytes: Buffer;
  pos: number;
  readonly end: number;

  constructor(bytes: Buffer, pos: number, end: number) {
    this.#bytes = bytes;
    this.pos = pos;
    this.end = end;
  }

  get done(): boolean {
    return this.pos === this.end;
  }

  /** A part of `length` bytes, after which this reader continues. */
  part(length: number): Reader {
    const start = this.skip(length);
    return new Reader(this.#bytes, start, this.pos);
  }

  /** Steps over `length` bytes and answers where they begin. */
  skip(length: number): number {
    const start = this.pos;
    if (length > this.end - start) throw refusal('change-malformed', 'A length points past the end.');
    this.pos = start + length;
    return start;
  }

  byte(): number {
    const value = this.pos < this.end ? this.#bytes[this.pos] : undefined;
    if (value === undefined) throw refusal('change-malformed', 'The bytes end too early.');
    this.pos += 1;
    return value;
  }

  /** Minimal unsigned LEB128 within the safe integers. */
  uint(): number {
    const first = this.byte();
    return first < 0x80 ? first : this.#long(first, false);
  }

  /** Minimal signed LEB128 within the safe integers. */
  int(): number {
    const first = this.byte();
    if (first < 0x80) return first < 0x40 ? first : first - 0x80;
    return this.#long(first, true);
  }

  #long(first: number, signed: boolean): number {
    let value = first & 0x7f;
    let scale = 0x80;
    let last = first;
    let before = first;
    // Eight bytes hold 56 bits; a safe integer needs 54. Doubles stay exact until the last addition, and what that
    // could round is out of range anyway.
    for (let count = 1; last >= 0x80; count += 1) {
      if (count === 8) throw refusal('change-unsupported', 'An integer is outside the safe range.');
      before = last;
      last = this.byte();
      const bits = last & 0x7f;
      value += (signed && last < 0x80 && bits >= 0x40 ? bits - 0x80 : bits) * scale;
      scale *= 0x80;
    }
    const redundant =
      last === 0 ? !signed || (before & 0x40) === 0 : signed && last === 0x7f && (before & 0x40) !== 0;
    if (redundant) throw refusal('change-not-canonical', 'An integer is longer than it need be.');
    if (!Number.isSafeInteger(value))
      throw refusal('change-unsupported', 'An integer is outside the safe range.');
    return value;
  }

  float64(): number {
    return this.#bytes.readDoubleLE(this.skip(8));
  }

  hex(length: number): string {
    const start = this.skip(length);
    return this.#bytes.toString('hex', start, this.pos);
  }

  /** Well-formed UTF-8; a byte order mark is kept, as it is part of the value. */
  text(length: number): string {
    const start = this.skip(length);
    const bytes = this.#bytes;
    let seen = 0;
    for (let i = start; i < this.pos; i += 1) seen |= bytes[i] ?? 0;
    if (seen < 0x80) return bytes.toString('latin1', start, this.pos);
    try {
      return strictText.decode(bytes.subarray(start, this.pos));
    } catch (error) {
      throw new AgrinetError('change-malformed', 'A string is not well-formed UTF-8.', { cause: error });
    }
  }

  /**
   * Expands the runs of this whole part into `out` and answers how many values there are. `limit` is checked before a
   * run is expanded, so a run of a million costs nothing.
   */
  runs(out: Int32Array, limit: number, signed: boolean, tooMany: ChangeErrorCode): number {
    let filled = 0;
    while (this.pos < this.end) {
      const count = this.#runLength(limit - filled, tooMany);
      if (count > 0) {
        out.fill(this.#small(signed), filled, filled + count);
        filled += count;
      } else {
        for (const stop = filled - count; filled < stop; filled += 1) out[filled] = this.#small(signed);
      }
    }
    return filled;
  }

  /** As `runs`, for text: each run's string is decoded once and shared. */
  textRuns(out: string[], limit: number): number {
    let filled = 0;
    while (this.pos < this.end) {
      const count = this.#runLength(limit - filled, 'change-malformed');
      if (count > 0) {
        const text = this.text(this.uint());
        for (const stop = filled + count; filled < stop; filled += 1) out[filled] = text;
      } else {
        for (const stop = filled - count; filled < stop; filled += 1) out[filled] = this.text(this.uint());
      }
    }
    return filled;
  }

  #runLength(room: number, tooMany: ChangeErrorCode): number {
    const count = this.int();
    if (count === 0) throw refusal('change-unsupported', 'A column holds nulls.');
    if (Math.abs(count) > room) throw refusal(tooMany, 'A column holds too many values.');
    return count;
  }

  #small(signed: boolean): number {
    const value = signed ? this.int() : this.uint();
    if (Math.abs(value) > MAX_COUNTER) throw refusal('change-unsupported', 'A column value is out of range.');
    return value;
  }
}
