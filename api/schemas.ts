import { z } from '@hono/zod-openapi';
import type { JSONValue } from 'hono/utils/types';
import { COLLECTIONS, type FieldRule } from '../protocols/open-dialog/schema.ts';

/** A whole number in a query, in plain digits. */
export function wholeNumber(min: number, max: number) {
  return z
    .string()
    .regex(/^\d{1,15}$/, `must be a whole number from ${min} to ${max}`)
    .transform(Number)
    .pipe(z.number().int().min(min).max(max))
    .openapi({ type: 'integer', minimum: min, maximum: max });
}

/** A number in a query, in decimal digits; an empty one is not given, as old clients send what nobody filled in. */
export const decimal = z
  .string()
  .max(24)
  .regex(/^([+-]?\d+(\.\d+)?)?$/, 'must be a number, such as 12.5')
  .optional();

/** Page size and place of every list. */
export const pageQuery = {
  limit: wholeNumber(1, 500).default(50),
  cursor: z.string().max(2048).optional(),
};

/** Ids in paths are resolved by the route: what cannot be one is simply not found. */
export const idParam = z.object({ id: z.string().min(1).max(256) });

/** What clients may send for a field: numbers also as text, as old clients do; `null` deletes. */
function inputOf(rule: FieldRule): z.ZodType {
  switch (rule.type) {
    case 'number':
      return z.union([z.number(), z.string().max(64)]).nullable();
    case 'boolean':
      return z.boolean().nullable();
    case 'string':
      if (rule.oneOf !== undefined) return z.enum(rule.oneOf).nullable();
      return z
        .union([
          z.string().max(rule.max),
          z.number(),
          z.array(z.unknown()).max(256),
          z.record(z.string(), z.unknown()),
        ])
        .nullable();
  }
}

/** The fields of a collection as a JSON body: all optional here, what is required and valid the market's rules say. */
export function fieldsInput(collection: string) {
  const fields = COLLECTIONS[collection]?.fields ?? {};
  return z.looseObject(
    Object.fromEntries(Object.entries(fields).map(([name, rule]) => [name, inputOf(rule).optional()])),
  );
}

/** Any JSON value: what a field of a record may be is in the wire specification. */
const value = z.unknown() as z.ZodType<JSONValue | undefined>; // it has been JSON all along

/** Why writes made at the same time are not merged yet; until then the fields are those of before. */
export const Unmerged = z.enum(['in-progress', 'deadline', 'failed']);

/** What every record has beside its fields. */
const record = {
  id: z.string(),
  owner: z.string(),
  createdAt: z.iso.datetime(),
  updatedAt: z.iso.datetime(),
  conflicts: z.record(z.string(), z.array(value)).optional(),
  unmerged: Unmerged.optional(),
};

export const Listing = z
  .object({ listingId: z.string(), type: z.string(), status: z.string(), ...record })
  .catchall(value)
  .openapi('Listing');
export const Price = z
  .object({ priceId: z.string(), ...record })
  .catchall(value)
  .openapi('Price');
export const Contract = z
  .object({ contractId: z.string(), ...record })
  .catchall(value)
  .openapi('Contract');
/** A trend snapshot as a record; its `body` is JSON in a text, as it was signed. */
export const TrendRecord = z
  .object({ trendId: z.string(), ...record })
  .catchall(value)
  .openapi('TrendRecord');

/** Filters by place: the three belong together. */
export const nearQuery = {
  geoLat_: decimal,
  geoLong_: decimal,
  radiusKm: decimal,
  coordinates: z.string().max(64).optional(),
};

const text = z.string().max(256).optional();
export const ownerQuery = { owner: text, ownerId: text };
/** A filter by a text field. */
export const textQuery = text;
