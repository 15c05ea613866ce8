import type { AuditHead, AuditLine, AuditProblem } from '../../protocols/audit/chain.ts';

/** What the routes need of the audit log. */
export interface AuditPort {
  /** Newest first; `cursor` is the number below which the next page begins. */
  list(query: {
    readonly kind?: string | undefined;
    readonly actor?: string | undefined;
    readonly transactionId?: string | undefined;
    readonly limit: number;
    readonly below?: number | undefined;
  }): Promise<{ readonly lines: readonly AuditLine[]; readonly cursor?: number }>;
  verify(): Promise<{
    readonly count: number;
    readonly head: AuditHead;
    readonly problems: readonly AuditProblem[];
  }>;
}
