import type { AuditHead, AuditLine, AuditProblem } from '../../protocols/audit/chain.ts';

/** By which key a write is done. Never the key itself. */
export interface Caller {
  /** The id of the key, `api-key` for the node's own, or `token:<subject>`. */
  readonly key: string;
  /** The scope that allowed it; set by the guard of the route. */
  scope: string;
  /** The user it acts for; an operator has none. */
  readonly user: string | undefined;
}

/** What the routes need of the audit log. */
export interface AuditPort {
  /** Does the work of a request: every line that comes of it meanwhile names the caller. */
  during(caller: Caller, work: () => Promise<void>): Promise<void>;
  /** The request has written: `what` is its method and route, `subject` the id in its path. For what has left no line yet. */
  wrote(caller: Caller, what: string, subject: string | undefined): void;
  /** Newest first; `cursor` is the number below which the next page begins. */
  list(query: {
    readonly kind?: string | undefined;
    readonly actor?: string | undefined;
    readonly transactionId?: string | undefined;
    readonly limit: number;
    readonly below?: number | undefined;
  }): Promise<{ readonly lines: readonly AuditLine[]; readonly cursor?: number }>;
  /** Follows the whole chain, and holds it against the heads signed in the node's feed. */
  verify(): Promise<{
    readonly count: number;
    readonly head: AuditHead;
    readonly problems: readonly AuditProblem[];
  }>;
}
