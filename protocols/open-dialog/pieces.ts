import { createHash } from 'node:crypto';

/** Items in one piece of work: some milliseconds, whatever is done with them. */
const PIECE = 2048;

/** The texts in order. Yields after each piece of work, as nothing that a stranger can make long may keep the event loop. */
export function* sortedInPieces(texts: readonly string[]): Generator<void, string[]> {
  let runs: string[][] = [];
  for (let from = 0; from < texts.length; from += PIECE) {
    runs.push(texts.slice(from, from + PIECE).sort());
    yield;
  }
  while (runs.length > 1) {
    const longer: string[][] = [];
    for (let i = 0; i < runs.length; i += 2) longer.push(yield* merged(runs[i] ?? [], runs[i + 1] ?? []));
    runs = longer;
  }
  return runs[0] ?? [];
}

function* merged(a: readonly string[], b: readonly string[]): Generator<void, string[]> {
  const all: string[] = [];
  for (let [i, j] = [0, 0]; i < a.length || j < b.length;) {
    const [left, right] = [a[i], b[j]];
    if (left !== undefined && (right === undefined || left <= right)) {
      all.push(left);
      i++;
    } else if (right !== undefined) {
      all.push(right);
      j++;
    }
    if (all.length % PIECE === 0) yield;
  }
  return all;
}

/** SHA-256 of texts joined by commas, hex. */
export function* hashInPieces(texts: readonly string[]): Generator<void, string> {
  const hash = createHash('sha256');
  for (let from = 0; from < texts.length; from += PIECE) {
    hash.update((from === 0 ? '' : ',') + texts.slice(from, from + PIECE).join());
    yield;
  }
  return hash.digest('hex');
}

/** The first `count` in order. */
export function* firstInPieces<T>(
  items: Iterable<T>,
  count: number,
  order: (a: T, b: T) => number,
): Generator<void, T[]> {
  let first: T[] = [];
  let piece: T[] = [];
  for (const item of items) {
    const last = first[count - 1];
    if (last !== undefined && order(last, item) <= 0) continue;
    piece.push(item);
    if (piece.length < PIECE) continue;
    first = [...first, ...piece].sort(order).slice(0, count);
    piece = [];
    yield;
  }
  return [...first, ...piece].sort(order).slice(0, count);
}
