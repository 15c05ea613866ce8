/** What an author's entries take up here. */
export interface Usage {
  /** Of the entries as stored. */
  readonly bytes: number;
  /** Ops that wait for something (an upgrade, a dependency), and their bytes. */
  readonly pending: number;
  readonly pendingBytes: number;
}

/** What one author may take up here: this node's own decision, never a matter of validity. */
export interface Quota {
  readonly bytes: number;
  readonly pending: number;
  readonly pendingBytes: number;
}

/** The part of a byte quota that may be ops which wait: nobody can use those, and they are the cheapest way to fill a disk. */
export const PENDING_SHARE = 8;

/** The quota that two settings make; 0 is none. */
export function quotaOf(megabytes: number, pendingOps: number): Quota {
  const bytes = megabytes === 0 ? Infinity : megabytes * 1024 * 1024;
  return { bytes, pending: pendingOps === 0 ? Infinity : pendingOps, pendingBytes: bytes / PENDING_SHARE };
}

/** What an author has too much of, or undefined. `more` are the bytes of entries that are to come on top. */
export function overQuota(usage: Usage, quota: Quota, more: number): keyof Quota | undefined {
  if (usage.bytes + more > quota.bytes) return 'bytes';
  if (usage.pending >= quota.pending) return 'pending';
  return usage.pendingBytes >= quota.pendingBytes ? 'pendingBytes' : undefined;
}
