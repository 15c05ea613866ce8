import { MAX_CHUNK_BYTES, refusal } from './columns.ts';

/*
 * Every string may take three bytes a unit, and none is begun beyond the largest chunk; what is not text is bounded by
 * the limits above and stays well below one chunk more.
 */
const SCRATCH_BYTES = 6 * MAX_CHUNK_BYTES;

/** Writes forward into memory of its own that is used again for the next change: `reset`, write, copy out. */
export class Writer {
  readonly bytes: Buffer = Buffer.alloc(SCRATCH_BYTES);
  pos = 0;

  reset(pos = 0): void {
    this.pos = pos;
  }

  byte(value: number): void {
    this.bytes[this.pos] = value;
    this.pos += 1;
  }

  /** Minimal unsigned LEB128 of a safe integer. */
  uint(value: number): void {
    let rest = value;
    while (rest >= 0x80) {
      this.byte((rest % 0x80) | 0x80);
      rest = Math.floor(rest / 0x80);
    }
    this.byte(rest);
  }

  /** Minimal signed LEB128 of a safe integer. */
  int(value: number): void {
    let rest = value;
    while (rest < -0x40 || rest >= 0x40) {
      const next = Math.floor(rest / 0x80);
      this.byte((rest - next * 0x80) | 0x80);
      rest = next;
    }
    this.byte(rest & 0x7f);
  }

  float64(value: number): void {
    this.pos = this.bytes.writeDoubleLE(value, this.pos);
  }

  hex(text: string): void {
    this.pos += this.bytes.write(text, this.pos, 'hex');
  }

  /** The UTF-8 of a string; answers its length in bytes. */
  text(text: string): number {
    if (this.pos > MAX_CHUNK_BYTES || text.length > MAX_CHUNK_BYTES) {
      throw refusal('change-too-large', 'The text of a change does not fit into one chunk.');
    }
    const start = this.pos;
    // A loop is quicker than a call into native code for the short ASCII strings that almost all fields hold.
    if (text.length < 32) {
      const bytes = this.bytes;
      let seen = 0;
      for (let i = 0; i < text.length; i += 1) {
        const unit = text.charCodeAt(i);
        seen |= unit;
        bytes[start + i] = unit;
      }
      if (seen < 0x80) {
        this.pos = start + text.length;
        return text.length;
      }
    }
    if (!text.isWellFormed()) throw refusal('change-malformed', 'A string is not well-formed Unicode.');
    const length = this.bytes.write(text, start, 'utf8');
    this.pos = start + length;
    return length;
  }

  /** A string behind its length. */
  prefixedText(text: string): void {
    this.uint(text.length < 0x80 ? text.length : 0);
    const lengthAt = this.pos - 1;
    const length = this.text(text);
    if (length < 0x80) {
      this.bytes[lengthAt] = length;
      return;
    }
    // Only a field name of 128 bytes and more gets here: write it again behind a longer prefix.
    this.pos = lengthAt;
    this.uint(length);
    this.text(text);
  }

  copy(from: Writer): void {
    from.bytes.copy(this.bytes, this.pos, 0, from.pos);
    this.pos += from.pos;
  }

  /** The canonical runs of the first `count` values: as few runs as can be, two equal neighbours being a run. */
  runs(values: Int32Array, count: number, signed: boolean): void {
    for (let i = 0; i < count;) {
      let next = i + 1;
      while (next < count && values[next] === values[i]) next += 1;
      if (next - i === 1) {
        while (next < count && (next + 1 === count || values[next] !== values[next + 1])) next += 1;
        this.int(i - next);
        for (; i < next; i += 1) this.#small(values[i] ?? 0, signed);
      } else {
        this.int(next - i);
        this.#small(values[i] ?? 0, signed);
        i = next;
      }
    }
  }

  /** As `runs`, for text. */
  textRuns(values: readonly string[], count: number): void {
    for (let i = 0; i < count;) {
      let next = i + 1;
      while (next < count && values[next] === values[i]) next += 1;
      if (next - i === 1) {
        while (next < count && (next + 1 === count || values[next] !== values[next + 1])) next += 1;
        this.int(i - next);
        for (; i < next; i += 1) this.prefixedText(values[i] ?? '');
      } else {
        this.int(next - i);
        this.prefixedText(values[i] ?? '');
        i = next;
      }
    }
  }

  #small(value: number, signed: boolean): void {
    if (signed) this.int(value);
    else this.uint(value);
  }
}
