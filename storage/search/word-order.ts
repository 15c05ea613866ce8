/** Words that are sorted in one step. */
const RUN = 2048;

/** As `<` has strings: the directory of a segment is searched so. */
const byUnits = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** Words in the order of `<`, in steps: a large segment has hundreds of thousands. */
export function* sortedWords(words: Iterable<string>): Generator<void, string[]> {
  let runs: string[][] = [];
  let run: string[] = [];
  for (const word of words) {
    if (run.push(word) < RUN) continue;
    runs.push(run.toSorted(byUnits));
    run = [];
    yield;
  }
  runs.push(run.toSorted(byUnits));
  while (runs.length > 1) {
    const merged: string[][] = [];
    for (let at = 0; at < runs.length; at += 2) merged.push(yield* merge(runs[at] ?? [], runs[at + 1] ?? []));
    runs = merged;
  }
  return runs[0] ?? [];
}

function* merge(left: readonly string[], right: readonly string[]): Generator<void, string[]> {
  const merged: string[] = [];
  let at = 0;
  for (const word of left) {
    for (let other = right[at]; other !== undefined && other < word; other = right[++at]) {
      if (merged.push(other) % RUN === 0) yield;
    }
    if (merged.push(word) % RUN === 0) yield;
  }
  for (; at < right.length; at++) if (merged.push(right[at] ?? '') % RUN === 0) yield;
  return merged;
}
