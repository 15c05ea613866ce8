import type { Change } from './change.ts';

/** Changes that follow one another one by one, each replacing just what is visible, as long as they do. */
export class Line {
  #last: readonly string[];
  /** The visible writes of each field. */
  readonly #visible: (readonly number[])[] = [];
  isWhole = true;

  /** `heads`: what the first of them follows, sorted. */
  constructor(heads: readonly string[]) {
    this.#last = heads;
  }

  /** A write that is visible before the first of them. */
  begin(field: number, write: number): void {
    this.#visible[field] = [...(this.#visible[field] ?? []), write];
  }

  follow({ deps, hash }: Change & { readonly hash: string }): void {
    const last = this.#last;
    if (deps.length !== last.length || deps.some((dep, i) => dep !== last[i])) this.isWhole = false;
    this.#last = [hash];
  }

  /** A write of a field; `write` is undefined where it deletes. */
  write(field: number, write: number | undefined, replaces: readonly number[]): void {
    const visible = this.#visible[field] ?? NOTHING;
    const isAll = replaces.length === visible.length && replaces.every((each) => visible.includes(each));
    if (!isAll) this.isWhole = false;
    this.#visible[field] = write === undefined ? NOTHING : [write];
  }
}

const NOTHING: readonly number[] = [];
