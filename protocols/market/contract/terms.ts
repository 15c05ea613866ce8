import { AgrinetError } from '../../errors.ts';
import { COLLECTIONS, fieldRule, valueProblem } from '../../open-dialog/schema.ts';

/** The terms of a proposal: a flat map of scalars; dag-cbor gives it one encoding. */
export type Scalar = string | number | boolean | null;
export type Terms = Readonly<Record<string, Scalar>>;

const MAX_TERMS = 64;
const MAX_NAME = 64;
const MAX_TEXT = 2048;

function scalar(value: unknown): value is Scalar {
  if (typeof value === 'string') return value.length <= MAX_TEXT && value.isWellFormed();
  return (
    value === null || typeof value === 'boolean' || (typeof value === 'number' && Number.isFinite(value))
  );
}

/** Reads terms strictly. Throws `transition-invalid`. */
export function parseTerms(value: unknown): Terms {
  const invalid = (why: string): AgrinetError => new AgrinetError('transition-invalid', `terms: ${why}`);
  if (typeof value !== 'object' || value === null || Array.isArray(value) || value instanceof Uint8Array)
    throw invalid('must be a map of names to scalars');
  const entries = Object.entries(value);
  if (entries.length > MAX_TERMS) throw invalid(`more than ${MAX_TERMS}`);
  const terms: [string, Scalar][] = [];
  for (const [name, term] of entries) {
    if (name === '' || name.length > MAX_NAME) throw invalid('a name is empty or too long');
    if (!scalar(term))
      throw invalid(`${name} must be a text, a finite number, a boolean or null, and not too long`);
    terms.push([name, term]);
  }
  const quantity = Object.hasOwn(value, 'quantity') ? quantityOf(Object.fromEntries(terms)) : 0;
  if (quantity === undefined) throw invalid('quantity must be a number from 0 up');
  return Object.fromEntries(terms);
}

/** The quantity in the terms: 0 when they name none, undefined when it is not a quantity. */
export function quantityOf(terms: Terms): number | undefined {
  const quantity = Object.hasOwn(terms, 'quantity') ? terms['quantity'] : 0;
  return typeof quantity === 'number' && Number.isFinite(quantity) && quantity >= 0 ? quantity : undefined;
}

/** Names without which terms are incomplete; one of each group is enough. */
const NEEDED = [['title', 'commodity'], ['quantity'], ['unit'], ['price'], ['currency']] as const;

/**
 * What is missing for terms to be complete, in words for people: goods, a quantity above 0, unit, price and currency, each valid for
 * its field and not a text of spaces alone. Empty for complete ones.
 */
export function missingTerms(terms: Readonly<Record<string, Scalar | undefined>>): string[] {
  return NEEDED.filter((names) => !names.some((name) => isGiven(name, terms))).map((names) =>
    names.join(' or '),
  );
}

function isGiven(name: string, terms: Readonly<Record<string, Scalar | undefined>>): boolean {
  const value = Object.hasOwn(terms, name) ? (terms[name] ?? null) : null;
  const rule = COLLECTIONS['contracts'] && fieldRule(COLLECTIONS['contracts'], name);
  if (rule === undefined || valueProblem(rule, value) !== undefined) return false;
  return typeof value === 'string' ? /[^ ]/.test(value) : name !== 'quantity' || Number(value) > 0;
}
