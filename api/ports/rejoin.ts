import type { RejoinStanding } from '../../protocols/mycelium/rejoin.ts';

/** Whether promises wait, and for whom. */
export interface RejoinPort {
  standing(): RejoinStanding;
  /** The operator's word: they wait no longer. */
  force(): void;
}
