/** The findings of one pass, by table; everything but `beyond` was repaired. Times in milliseconds since 1970. */
export interface ScrubPass {
  readonly startedAt: number;
  readonly endedAt: number | undefined;
  readonly rows: number;
  readonly wrong: Readonly<Record<string, number>>;
  /** Entries, and what depends on them, that cannot be read: only a rebuild, and peers, restore them. */
  readonly beyond: number;
  /** Records with too many changes to be derived again. */
  readonly unchecked: number;
}

/** The scrub as its operator sees it. */
export interface ScrubPort {
  status(): {
    readonly running: boolean;
    readonly phase: string | undefined;
    readonly current: ScrubPass | undefined;
    readonly last: ScrubPass | undefined;
  };
  /** A whole pass now. */
  run(onProgress: (done: number, total: number) => void): Promise<ScrubPass>;
}
