import type { CheckId, Severity } from './finding.ts';

/** A kind of finding, before it is about one case. */
export interface FindingKind {
  readonly check: CheckId;
  readonly severity: Severity;
  /** A description of the finding, for the table of the README. */
  readonly what: string;
  /**
   * How to fix it, starting with a command. `{name}` is replaced by a value of the finding, `<a thing>` is for what only the
   * operator knows. A test in `test/unit/doctor/cases` shows for each finding that its remedy works.
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
