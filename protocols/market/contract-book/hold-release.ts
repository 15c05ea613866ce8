import { AgrinetError } from '../../errors.ts';
import type { HeldContracts } from './held-contracts.ts';
import { holdsOf } from './granted-stock.ts';
import { takeStep } from './steps.ts';
import type { BookParts, HeldContract } from './types.ts';

/** Refusals of a release that another moment may allow. */
const REFUSALS = new Set([
  'contract-state',
  'contract-full',
  'hold-not-over',
  'not-supplier',
  'proposal-unknown',
]);

/** Signs the end of every hold of a contract that is over; under its locks. True when there was one. */
export async function releaseHolds(
  parts: Pick<BookParts, 'identity' | 'ledger' | 'now'>,
  contracts: HeldContracts,
  held: HeldContract,
): Promise<boolean> {
  const { stock } = contracts;
  if (stock.listingOf(held) === undefined) return false;
  let current = held;
  let any = false;
  for (const { hash, validUntil } of holdsOf(held)) {
    if (validUntil > parts.now()) continue;
    try {
      await takeStep(parts, stock, current, held.contract.supplier, { kind: 'expire', proposal: hash });
    } catch (error) {
      // What cannot be released yet stays granted; a full disk ends the attempt.
      if (error instanceof AgrinetError && REFUSALS.has(error.code)) continue;
      throw error;
    }
    any = true;
    current = await contracts.reload(held);
  }
  return any;
}
