import type { Recovery } from '../protocols/mycelium/rejoin.ts';
import { type BatchOp, fullKey } from './keyspace.ts';
import { putJson } from './values.ts';

/** Where it is noted that own entries may be lost here. */
export const REJOIN = fullKey('meta', 'rejoin');

/** The last loss there was; one that is `settled` (made good) keeps the fence down. */
export type RejoinRow = Recovery & { readonly settled?: true };

/** That row, for the batch that makes it so. */
export function rejoinRow(recovery: RejoinRow): BatchOp {
  return putJson(REJOIN, recovery);
}
