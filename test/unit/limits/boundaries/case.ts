import type { HTTP_LIMITS, PROTOCOL_LIMITS } from '../../../support/limit-groups.ts';
import type { Bench } from './bench.ts';

/** How what is limited really travels. */
export type Carrier = 'HTTP' | 'libp2p' | 'file' | 'in process';

export type BoundaryCase =
  /** Sends so much, and tells what came of it; `gives` is that for one below the limit, the limit, and one above it. */
  | {
      readonly over: Exclude<Carrier, 'in process'>;
      readonly send: (bench: Bench, n: number) => Promise<unknown>;
      readonly gives: readonly [below: unknown, at: unknown, above: unknown];
      /** Where one more cannot be made: what to try instead. */
      readonly sizes?: readonly [number, number, number];
    }
  /** The same where no carrier brings it so far; `why` says what stops it before. */
  | {
      readonly over: 'in process';
      readonly why: string;
      readonly send: (bench: Bench, n: number) => Promise<unknown>;
      readonly gives: readonly [below: unknown, at: unknown, above: unknown];
      readonly sizes?: readonly [number, number, number];
    }
  /** A test elsewhere stands at this boundary; it must exist. */
  | { readonly shownBy: readonly [file: string, title: string] }
  /** Nothing is refused at it: a pace, a default, a size at which something is cut into pieces or the oldest goes. */
  | { readonly refusesNothing: string }
  /** No test stands at it yet, and why. */
  | { readonly notShown: string };

type Groups = typeof HTTP_LIMITS & typeof PROTOCOL_LIMITS;
export type LimitFile = keyof Groups;
export type CasesOf<File extends LimitFile> = Record<keyof Groups[File][1] & string, BoundaryCase>;
/** One case for each limit of each table: a limit without one does not compile. */
export type AllCases = { readonly [File in LimitFile]: CasesOf<File> };
