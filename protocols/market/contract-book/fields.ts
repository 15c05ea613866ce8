import { AgrinetError } from '../../errors.ts';
import type { RecordState } from '../../open-dialog/record.ts';
import { COLLECTIONS } from '../../open-dialog/schema.ts';
import type { Scalar } from '../../open-dialog/change.ts';
import { isClauseField } from '../contract/clauses.ts';
import { missingTerms, parseTerms, type Terms } from '../contract/terms.ts';
import { isCopy } from './listing-terms.ts';
import type { Body } from './types.ts';

/** Fields that a client gives for the request itself and not as terms; `status` follows from the steps. */
export const NOT_TERMS: ReadonlySet<string> = new Set([
  'status',
  'propose',
  'validUntil',
  'acknowledgeListing',
  'listing',
  'createdBy',
  'id',
  'progressUpdates',
]);
/** Fields that do not change after the contract is begun. */
export const FIXED = ['buyerId', 'supplierId', 'listingId', 'requestId'] as const;

/**
 * A contract's body as fields of its document: `deliveryWindow {start, end}` as two dotted fields. `terms` stays as it is: which
 * fields its clauses take is decided with the document at hand (contract/clauses.ts). Throws `fields-invalid`.
 */
export function contractFields(body: Body): Record<string, unknown> {
  const fields: Record<string, unknown> = {};
  for (const [field, value] of Object.entries(body)) {
    if (NOT_TERMS.has(field) || isCopy(field)) continue;
    if (field === 'deliveryWindow') flatten(fields, field, value, ['start', 'end']);
    else fields[field] = value;
  }
  return fields;
}

function flatten(
  fields: Record<string, unknown>,
  name: string,
  value: unknown,
  parts: readonly string[],
): void {
  if (value !== null && (typeof value !== 'object' || Array.isArray(value)))
    throw new AgrinetError('fields-invalid', `${name}: must be an object {${parts.join(', ')}}`);
  const given = new Map<string, unknown>(Object.entries(value ?? {}));
  for (const part of parts)
    if (value === null || given.has(part)) fields[`${name}.${part}`] = given.get(part) ?? null;
}

/** The terms of a document as a proposal signs them. Throws `terms-conflict` (409), `fields-invalid`. */
export function termsOf(state: RecordState): Terms {
  const open = Object.keys(state.conflicts);
  if (open.length > 0)
    throw new AgrinetError(
      'terms-conflict',
      `${open.join(', ')}: changed by both parties without knowing of one another; write the value that shall stand with PATCH first`,
    );
  const terms: Record<string, Scalar> = {};
  for (const [field, value] of Object.entries(state.view)) if (!NOT_TERMS.has(field)) terms[field] = value;
  try {
    return parseTerms(terms);
  } catch (error) {
    if (!(error instanceof AgrinetError)) throw error;
    throw new AgrinetError('fields-invalid', `these terms cannot be proposed: ${error.message}`, {
      cause: error,
    });
  }
}

/** Refuses terms that are incomplete. Throws `terms-incomplete` (409). */
export function requireComplete(terms: Readonly<Record<string, Scalar | undefined>>): void {
  const missing = missingTerms(terms);
  if (missing.length > 0)
    throw new AgrinetError(
      'terms-incomplete',
      `these terms are incomplete: ${missing.join(', ')} ${missing.length === 1 ? 'is' : 'are'} missing; add what is missing with PATCH /contracts/:id, then propose`,
      { details: { missing } },
    );
}

/** Fields that an answer to an open request takes over from it. */
export function termsOfRequest(request: RecordState): Record<string, Scalar> {
  const rules = COLLECTIONS['contracts']?.fields ?? {};
  const keep = (field: string): boolean =>
    (Object.hasOwn(rules, field) || isClauseField(field)) &&
    !NOT_TERMS.has(field) &&
    !isCopy(field) &&
    !FIXED.some((one) => one === field) &&
    field !== 'producerId';
  return Object.fromEntries(Object.entries(request.view).filter(([field]) => keep(field)));
}
