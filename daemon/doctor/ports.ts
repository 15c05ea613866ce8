/** What metrics and the doctor need to know of a mirror. */
export interface MirrorHealth {
  /** A word of its own, such as `running`. */
  readonly state: string;
  /** In words; empty while all is well. */
  readonly detail?: string | undefined;
  /** Items that wait. */
  readonly pending: number;
  /** Age of the oldest of them. */
  readonly lagSeconds: number;
  readonly inFlight: number;
  /** Items that the tables cannot take. */
  readonly refused: number;
}
