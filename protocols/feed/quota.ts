/** The storage that an author's entries use on this node. */
export interface Usage {
  /** Of the entries as stored. */
  readonly bytes: number;
  /** Ops that wait for something (an upgrade, a dependency), and their bytes. */
  readonly pending: number;
  readonly pendingBytes: number;
}

/** How much storage one author may use here: a decision of this node, not a rule of validity. */
export interface Quota {
  readonly bytes: number;
  readonly pending: number;
  readonly pendingBytes: number;
}

/** The share of a byte quota that may be pending ops: they are of no use to anybody, and the cheapest way to fill a disk. */
export const PENDING_SHARE = 8;

/** The quota given by two settings; 0 means no limit. */
export function quotaOf(megabytes: number, pendingOps: number): Quota {
  const bytes = megabytes === 0 ? Infinity : megabytes * 1024 * 1024;
  return { bytes, pending: pendingOps === 0 ? Infinity : pendingOps, pendingBytes: bytes / PENDING_SHARE };
}

/** The limit that an author exceeds, or undefined. `more` are the bytes of entries about to be added. */
export function overQuota(usage: Usage, quota: Quota, more: number): keyof Quota | undefined {
  if (usage.bytes + more > quota.bytes) return 'bytes';
  if (usage.pending >= quota.pending) return 'pending';
  return usage.pendingBytes >= quota.pendingBytes ? 'pendingBytes' : undefined;
}
