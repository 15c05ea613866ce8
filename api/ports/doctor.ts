import type { NotCompared } from '../../protocols/digest/coverage.ts';

/** One thing that the operator should know, worst first in a report. */
export interface FindingRow {
  /** Of the table of findings in `daemon/README.md`. */
  readonly id: string;
  readonly check: string;
  readonly severity: 'error' | 'warning' | 'info';
  readonly subject?: string | undefined;
  readonly message: string;
  readonly remedy: string;
}

export interface DoctorReport {
  /** ISO 8601. */
  readonly at: string;
  /** Neither errors nor warnings. */
  readonly healthy: boolean;
  readonly findings: readonly FindingRow[];
  readonly checked: readonly { readonly check: string; readonly what: string }[];
  /** Checks that could not be made now, and the code of the reason. */
  readonly unchecked: readonly { readonly check: string; readonly code: string }[];
}

/** One owner's public records here and at a peer. Records are named by their local ids. */
export interface OwnerDiff {
  readonly owner: string;
  /** Which side has more of the owner's entries: `both` means that each has something that the other is missing. */
  readonly frontier: 'equal' | 'here' | 'there' | 'both';
  /**
   * `lag`: entries are missing on one side, and will arrive. `damage`: the same entries, but other records. `one-sided`: only one of
   * the two follows this owner. `forgotten`: this node has forgotten entries of it. `undecided`: entries arrived during the search,
   * or a limit ended it.
   */
  readonly verdict: 'same' | 'lag' | 'damage' | 'one-sided' | 'forgotten' | 'undecided';
  readonly collections: readonly {
    readonly collection: string;
    readonly onlyHere: readonly string[];
    readonly onlyThere: readonly string[];
    readonly different: readonly string[];
    /** A bound ended the search: there are more than are named. */
    readonly more: boolean;
  }[];
}

export interface DiffReport {
  readonly peer: string;
  readonly same: boolean;
  readonly damaged: boolean;
  /** Collections that only one of the two versions knows, or in another op version: no record of them was compared. */
  readonly notCompared: readonly NotCompared[];
  readonly owners: readonly OwnerDiff[];
  /** The number of owners whose sums were equal on both sides, so that no record was compared. */
  readonly bySums: number;
  /** Its cost. */
  readonly requests: number;
  readonly bytes: number;
}

/** What the doctor routes need of the node. */
export interface DoctorPort {
  examine(): Promise<DoctorReport>;
  /**
   * Compares what both hold of each owner; `deep` also where both say the same. Throws `node-unknown`, `source-unknown`, `busy`,
   * `digest-too-large` and what asking a peer throws.
   */
  diff(peer: string, deep: boolean): Promise<DiffReport>;
}
