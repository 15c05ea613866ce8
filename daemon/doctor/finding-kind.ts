import type { CheckId, Severity } from './finding.ts';

/** A kind of finding, before it is about one case. */
export interface FindingKind {
  readonly check: CheckId;
  readonly severity: Severity;
  /** What is found, for the table of the README. */
  readonly what: string;
  /**
   * What makes it go away, starting with a command. `{name}` stands for a value of the case, `<a thing>` for what only the operator
   * knows. A test in `test/unit/doctor/cases` shows for each finding that its remedy works.
   */
  readonly remedy: string;
  /** Why nothing makes it go away; only for findings that are `info`. */
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
