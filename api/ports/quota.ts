/** The limit for one node's entries here, and their actual size. */
export interface NodeQuota {
  readonly id: string;
  /** In force now, MiB; 0: no bound. */
  readonly quotaMb: number;
  /** Whether the operator has set it for this node; otherwise it is everybody's. */
  readonly own: boolean;
  /** Of its entries as signed. */
  readonly bytes: number;
  /** Its ops that wait for an upgrade, or for what they depend on. */
  readonly pendingOps: number;
}

/** Quotas as their operator sees and sets them. */
export interface QuotaPort {
  /** Undefined of a node that has no feeds. */
  of(id: string): NodeQuota | undefined;
  /** MiB; undefined: everybody's again. Throws `node-unknown`. */
  set(id: string, quotaMb: number | undefined): Promise<NodeQuota>;
}
