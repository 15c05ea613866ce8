import { z } from '@hono/zod-openapi';
import type { ErrorCode } from '../protocols/error-codes.ts';
import { AgrinetError } from '../protocols/errors.ts';
import type { PeerId } from '../protocols/wire/identity.ts';
import { isOperator, type Principal } from './access.ts';
import type { NoteLeftOut } from './ports/left-out.ts';
import type { Actor, ContractsPort } from './ports/contracts.ts';

/** The inputs of the contract routes. */
export interface ContractsContext {
  readonly self: PeerId;
  readonly contracts: ContractsPort;
  readonly leftOut: NoteLeftOut;
}

export const validUntil = z
  .union([z.number().int().min(0).max(8.64e15), z.iso.datetime({ offset: true })])
  .optional()
  .openapi({
    type: 'string',
    format: 'date-time',
    description: 'When the proposal expires. Required for a supplier’s own proposal.',
  });
export const acknowledgeListing = z
  .boolean()
  .optional()
  .openapi({ description: 'Whether to sign even if the terms differ from the listing.' });

/** Errors for a contract that is drafted. */
export const DRAFTING: readonly ErrorCode[] = [
  'contract-state',
  'listing-ended',
  'listing-without-seller',
  'not-a-party',
  'not-supplier',
  'party-unknown',
  'quantity-granted',
  'record-ended',
  'record-merging',
  'rejoining',
  'stock-short',
  'terms-conflict',
  'terms-full',
];
/** And with a step of one. */
export const STEPPING: readonly ErrorCode[] = [
  ...DRAFTING,
  'accept-own',
  'contract-full',
  'hold-endless',
  'hold-not-over',
  'listing-differs',
  'listing-moved',
  'proposal-expired',
  'proposal-unknown',
  'proposal-unnamed',
  'terms-changed',
  'terms-incomplete',
];

export function actorOf(principal: Principal): Actor {
  return { operator: isOperator(principal), userId: principal.userId };
}

/** The end of a proposal, milliseconds since 1970. Throws `fields-invalid`. */
export function endOf(given: string | number | undefined): number | undefined {
  const end = typeof given === 'string' ? Date.parse(given) : given;
  if (end !== undefined && !(end >= 0))
    throw new AgrinetError('fields-invalid', 'validUntil: must be an ISO 8601 time');
  return end;
}
