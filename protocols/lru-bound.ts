/**
 * Options of an LRU cache that keeps at most `count` values and takes memory as it fills. `max` would take it for all of them at once:
 * megabytes, and milliseconds, for each node that starts.
 */
export const atMost = (count: number): { maxSize: number; sizeCalculation: () => number } => ({
  maxSize: count,
  sizeCalculation: () => 1,
});
