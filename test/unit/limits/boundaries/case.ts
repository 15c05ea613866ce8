import type { HTTP_LIMITS, PROTOCOL_LIMITS } from '../../../support/limit-groups.ts';
import type { Bench } from './bench.ts';

/** How what is limited really travels; `clock`: it is an interval, kept under a clock that only the test moves. */
export type Carrier = 'HTTP' | 'libp2p' | 'file' | 'disk' | 'clock' | 'in process';

interface Shown {
  /** What came of so much, or of so many units of time. */
  readonly send: (bench: Bench, n: number) => Promise<unknown>;
  /** That for one below the limit, the limit, and one above it. */
  readonly gives: readonly [below: unknown, at: unknown, above: unknown];
  /** Where one more cannot be made: what to try instead. */
  readonly sizes?: readonly [number, number, number];
}

export type BoundaryCase =
  | (Shown & { readonly over: Exclude<Carrier, 'in process'> })
  /** The same where no carrier brings it so far; `why` says what stops it before. */
  | (Shown & { readonly over: 'in process'; readonly why: string })
  /** A test elsewhere stands at this boundary; it must exist. */
  | { readonly shownBy: readonly [file: string, title: string] };

type Groups = typeof HTTP_LIMITS & typeof PROTOCOL_LIMITS;
export type LimitFile = keyof Groups;
export type CasesOf<File extends LimitFile> = Record<keyof Groups[File][1] & string, BoundaryCase>;
/** One case for each limit of each table: a limit without one does not compile. */
export type AllCases = { readonly [File in LimitFile]: CasesOf<File> };
