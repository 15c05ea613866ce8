/** Something that happens at a time, milliseconds of the world. */
export interface Due {
  readonly at: number;
  /** Of two at one time the one that was planned first comes first. */
  readonly no: number;
  call: (() => void) | undefined;
}

/** What is still to come, the earliest first. */
export class EventHeap {
  readonly #heap: Due[] = [];
  #no = 0;

  get size(): number {
    return this.#heap.length;
  }

  add(at: number, call: () => void): Due {
    const due: Due = { at, no: this.#no++, call };
    const heap = this.#heap;
    let i = heap.length;
    heap.push(due);
    while (i > 0) {
      const parent = (i - 1) >> 1;
      const above = heap[parent];
      if (above === undefined || isBefore(above, due)) break;
      heap[i] = above;
      i = parent;
    }
    heap[i] = due;
    return due;
  }

  /** Takes out the next one that was not taken back. */
  next(): Due | undefined {
    for (;;) {
      const first = this.#takeFirst();
      if (first === undefined || first.call !== undefined) return first;
    }
  }

  #takeFirst(): Due | undefined {
    const heap = this.#heap;
    const [first] = heap;
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) return first;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      const [left, right] = [heap[child], heap[child + 1]];
      if (left === undefined) break;
      let least = left;
      if (right !== undefined && isBefore(right, left)) {
        least = right;
        child++;
      }
      if (isBefore(last, least)) break;
      heap[i] = least;
      i = child;
    }
    heap[i] = last;
    return first;
  }
}

function isBefore(a: Due, b: Due): boolean {
  return a.at < b.at || (a.at === b.at && a.no < b.no);
}
