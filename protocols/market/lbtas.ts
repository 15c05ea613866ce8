/** The Leveson-Based Trade Assessment Scale (Agrinet P3-014): what a rating can say, and until when. */
export const LBTAS = {
  min: -1,
  max: 4,
  /** Names of the levels, from `min` to `max`. */
  levels: [
    'No Trust',
    'Cynical Satisfaction',
    'Basic Promise',
    'Basic Satisfaction',
    'No Negative Consequences',
    'Delight',
  ],
  /** Days after the settlement within which a rating is in time. */
  ratingDays: 90,
  /** What a party that has not rated by the deadline counts as having given. */
  defaulted: 2,
} as const;

/** Until when a rating of a contract that was settled then is in time; milliseconds since 1970, both. */
export function ratingDeadline(settledAt: number): number {
  return settledAt + LBTAS.ratingDays * 86_400_000;
}
