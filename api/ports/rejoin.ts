import type { Rejoin } from '../../protocols/mycelium/rejoin.ts';

/** Whether the recovery fence is up, and for whom; and the operator's word that takes it down. */
export type RejoinPort = Pick<Rejoin, 'status' | 'force'>;
