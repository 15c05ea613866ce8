import type { Finding } from '../../../../daemon/doctor/finding.ts';
import type { FindingId } from '../../../../daemon/doctor/findings.ts';

export type Awaitable<T> = T | Promise<T>;

/** One way in which something is wrong, and what mends it. */
export interface FindingCase {
  /** What tells it from other cases of the same finding. */
  readonly name?: string;
  /** What the doctor says of it. */
  readonly message: RegExp;
  /** Why it cannot be done here, with the cure. */
  readonly lacking?: string | undefined;
  /** Brings the fault about, for real wherever that can be, and lets the doctor look. */
  readonly plant: () => Promise<Planted>;
}

export interface Planted {
  readonly found: readonly Finding[];
  /** Does what the finding says, and lets the doctor look again. */
  readonly remedy: (finding: Finding) => Promise<readonly Finding[]>;
}

/** At least one for each finding of a group. */
export type CasesOf<I extends FindingId> = Readonly<
  Record<I, FindingCase | readonly [FindingCase, ...FindingCase[]]>
>;
