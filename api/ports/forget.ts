/** What is removed of a revoked node, and what is kept. Bytes are those of entries as signed. */
export interface Forgotten {
  readonly id: string;
  readonly entries: number;
  readonly bytes: number;
  readonly ops: number;
  /** Entries that stay: own users' contracts and ratings rest on them. */
  readonly keptEntries: number;
  readonly keptBytes: number;
  /** Items of an old back end. */
  readonly items: number;
  /** How much smaller the database is on disk; 0 for a dry run. */
  readonly freedBytes: number;
}

/** A node of whose entries some were forgotten. */
export interface GapRow {
  readonly id: string;
  /** Entries that were held and are not any more. */
  readonly entries: number;
  readonly keptEntries: number;
  /** Milliseconds since 1970. */
  readonly since: number;
}

type Progress = (done: number, total: number) => void;

export interface ForgetPort {
  /** Throws `node-unknown`, and `node-state` for a node that is not revoked. */
  check(id: string): void;
  /** What would be removed. Throws as `check` does. */
  look(id: string, onProgress: Progress): Promise<Forgotten>;
  /** Drops it; once begun it is finished, after a restart too. Throws as `check` does, and `busy` while another is under way. */
  run(id: string, onProgress: Progress): Promise<Forgotten>;
  gaps(): readonly GapRow[];
}
