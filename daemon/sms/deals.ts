import { errorCode } from '../../protocols/errors.ts';
import type { ContractBook } from '../../protocols/market/contract-book/types.ts';
import { hasSigned } from '../../protocols/market/contract-book/open-deals.ts';
import { parsePublicId, type RecordKey, recordKey } from '../../protocols/wire/ids.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import type { Notice } from '../notices/notice.ts';

export interface DealsParts {
  readonly self: PeerId;
  readonly contracts: Pick<ContractBook, 'get' | 'isTrading'>;
}

/** Whether a notice is of a contract that its user has signed a step of, or caused by somebody with whom the user has an open one. */
export async function isOfDeal(
  { self, contracts }: DealsParts,
  { userId, about: { contractId, from } }: Pick<Notice, 'userId' | 'about'>,
): Promise<boolean> {
  const party = `${userId}@${self}`;
  const parts = contractId === undefined ? undefined : parsePublicId(contractId, self);
  const key = parts && recordKey('contracts', parts.owner, parts.id);
  if (key !== undefined && (await isSigned(contracts, key, party))) return true;
  return from !== undefined && contracts.isTrading(party, from);
}

async function isSigned(contracts: DealsParts['contracts'], key: RecordKey, party: string): Promise<boolean> {
  try {
    const { held } = await contracts.get(key, { operator: true });
    return held !== undefined && hasSigned(held, party);
  } catch (error) {
    if (errorCode(error) === 'not-found') return false;
    throw error;
  }
}
