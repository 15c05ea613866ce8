import type { CheckId, Severity } from './finding.ts';

/** What the doctor can find, before it is about anything. */
export interface FindingKind {
  readonly check: CheckId;
  readonly severity: Severity;
  /** What is found, for the table of the README. */
  readonly what: string;
  /**
   * What makes it go, first of all a command. `{name}` stands for a value of the case, `<a thing>` for what only the operator knows.
   * Whoever adds a finding shows in `test/unit/doctor/cases` that this mends it.
   */
  readonly remedy: string;
  /** It stays whatever anybody does, and why; only what is good to know may. */
  readonly lasting?: string;
}

type Found<S extends Severity, R extends string> = FindingKind & { readonly severity: S; readonly remedy: R };

const kind =
  <S extends Severity>(severity: S) =>
  <const R extends string>(check: CheckId, what: string, remedy: R): Found<S, R> => ({
    check,
    severity,
    what,
    remedy,
  });

/** Something does not work or is wrong. */
export const error = kind('error');
/** Something will be wrong unless somebody acts. */
export const warning = kind('warning');
/** Good to know. */
export const info = kind('info');
