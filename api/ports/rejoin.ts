import type { Rejoin } from '../../protocols/mycelium/rejoin.ts';

/** Whether promises wait, and for whom; and the operator's word that they wait no longer. */
export type RejoinPort = Pick<Rejoin, 'standing' | 'force'>;
