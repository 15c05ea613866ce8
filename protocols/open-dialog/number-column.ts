/** Numbers in one piece of a column. */
const PIECE_BITS = 14;
const PIECE = 1 << PIECE_BITS;

/** Whole numbers from 0 to 2^32 - 1 by their place, at four bytes each; it grows by pieces, so that nothing is ever copied at once. */
export class NumberColumn {
  readonly #pieces: Uint32Array[] = [];
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** Adds one; its place. */
  push(value: number): number {
    const at = this.#length++;
    if (at >> PIECE_BITS === this.#pieces.length) this.#pieces.push(new Uint32Array(PIECE));
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
