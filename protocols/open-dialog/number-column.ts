/** Numbers in one piece of a column. */
const PIECE_BITS = 14;
const PIECE = 1 << PIECE_BITS;

/** Numbers that the first piece begins with: V8 keeps so few in its own heap. Most records are short, and have a dozen columns each. */
const FIRST = 16;

/**
 * Whole numbers from 0 to 2^32 - 1 by their place, at four bytes each. It grows by pieces, so that no more than one piece is ever copied
 * at once; the first one grows from a few numbers.
 */
export class NumberColumn {
  readonly #pieces: Uint32Array[] = [];
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** Adds one; its place. */
  push(value: number): number {
    const at = this.#length++;
    const last = at >> PIECE_BITS;
    const piece = this.#pieces[last];
    if (piece === undefined) this.#pieces.push(new Uint32Array(last === 0 ? FIRST : PIECE));
    else if (at === piece.length) this.#pieces[0] = doubled(piece);
    this.set(at, value);
    return at;
  }

  /** 0 where there is none. */
  get(at: number): number {
    return this.#pieces[at >> PIECE_BITS]?.[at & (PIECE - 1)] ?? 0;
  }

  set(at: number, value: number): void {
    const piece = this.#pieces[at >> PIECE_BITS];
    if (piece !== undefined) piece[at & (PIECE - 1)] = value;
  }
}

function doubled(numbers: Uint32Array): Uint32Array<ArrayBuffer> {
  const next = new Uint32Array(2 * numbers.length);
  next.set(numbers);
  return next;
}
