/** One thing that the operator should know, worst first in a report. */
export interface FindingRow {
  readonly check: string;
  readonly severity: 'error' | 'warning' | 'info';
  readonly subject?: string | undefined;
  readonly message: string;
  readonly mend: string;
}

export interface DoctorReport {
  /** ISO 8601. */
  readonly at: string;
  /** Neither errors nor warnings. */
  readonly healthy: boolean;
  readonly findings: readonly FindingRow[];
  readonly checked: readonly { readonly check: string; readonly what: string }[];
  /** What could not be looked at now, and the code of the reason. */
  readonly unchecked: readonly { readonly check: string; readonly code: string }[];
}

/** What the doctor routes need of the node. */
export interface DoctorPort {
  examine(): Promise<DoctorReport>;
}
