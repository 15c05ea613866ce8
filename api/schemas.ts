import { z } from '@hono/zod-openapi';
import type { JSONValue } from 'hono/utils/types';

const anything = z.union([
  z.string(),
  z.number(),
  z.boolean(),
  z.null(),
  z.array(z.unknown()),
  z.record(z.string(), z.unknown()),
]) as z.ZodType as z.ZodType<JSONValue>; // it has been JSON all along
const PLAIN = [
  { type: 'string' as const },
  { type: 'number' as const },
  { type: 'boolean' as const },
  { type: 'null' as const },
  { type: 'object' as const, additionalProperties: { $ref: '#/components/schemas/JsonValue' } },
];

/** JSON that the API passes on as it is. */
export const JsonValue = anything.openapi('JsonValue', {
  description: 'Any JSON value.',
  // Generators follow a schema into its own objects, but not all of them into nested lists: a list in a list is declared without
  // details.
  anyOf: [...PLAIN, { type: 'array', items: { anyOf: [...PLAIN, { type: 'array', items: {} }] } }],
});
export const JsonObject = z.record(z.string(), JsonValue).openapi('JsonObject');
/** The value of one field of a record. */
export const Scalar = z.union([z.string(), z.number(), z.boolean()]).openapi('Scalar');
/** The value of one field, null where it is not set. */
export const ScalarOrNull = z.union([z.string(), z.number(), z.boolean(), z.null()]).openapi('ScalarOrNull');

/** A property, described. */
export const text = (description: string) => z.string().describe(description);
export const number = (description: string) => z.number().describe(description);
export const count = (description: string) => z.number().int().min(0).describe(description);
export const flag = (description: string) => z.boolean().describe(description);
export const timestamp = (description: string) => z.iso.datetime().describe(description);
export const texts = (description: string) => z.array(z.string()).describe(description);

/** The property that leads to the next page. */
const nextCursor = text('Pass it as `cursor` to fetch the next page; absent on the last page.').optional();
/** The answer of a list: one page of it. */
export function pageOf<N extends string, S extends z.ZodType>(name: N, item: S) {
  const shape = { [name]: z.array(item), cursor: nextCursor };
  return z.object(shape as Record<N, z.ZodArray<S>> & { readonly cursor: typeof nextCursor });
}

/** A whole number in a query, in plain digits. */
export function wholeNumber(min: number, max: number) {
  return z
    .string()
    .regex(/^\d{1,15}$/, `must be a whole number from ${min} to ${max}`)
    .transform(Number)
    .pipe(z.number().int().min(min).max(max))
    .openapi({ type: 'integer', minimum: min, maximum: max });
}

/** A number in a query, in decimal digits; an empty one counts as not given, as old clients send fields that were not filled in. */
export const decimal = z
  .string()
  .max(24)
  .regex(/^([+-]?\d+(\.\d+)?)?$/, 'must be a decimal number such as 12.5')
  .optional();

/** Page size and place of every list. */
export const pageQuery = {
  limit: wholeNumber(1, 500).default(50).openapi({ description: 'Maximum number of items per page.' }),
  cursor: z
    .string()
    .max(2048)
    .optional()
    .openapi({ description: 'The `cursor` of the previous page; send the same filters with it.' }),
};

/** Ids in paths are resolved by the route: what cannot be one is simply not found. */
export const recordId = z.string().min(1).max(256).openapi({
  description: '`<owner>.<local id>`; a local ID alone refers to this node.',
});
export const idParam = z.object({ id: recordId });

/** Filters by place: the three belong together. */
export const nearQuery = {
  geoLat_: decimal.openapi({ description: 'Latitude of the centre in degrees, -90 to 90.' }),
  geoLong_: decimal.openapi({ description: 'Longitude of the centre in degrees, -180 to 180.' }),
  radiusKm: decimal.openapi({ description: 'Radius of the search in kilometres.' }),
  coordinates: z.string().max(64).optional().openapi({
    description: 'The centre as `geoLat_<lat>,geoLong_<long>`, instead of `geoLat_` and `geoLong_`.',
  }),
};

const unlessEmpty = (text: string): string | undefined => (text === '' ? undefined : text);

/** A filter by a text field; an empty one counts as not given, as old clients send fields that were not filled in. */
const textQuery = z.string().max(256).transform(unlessEmpty).optional();
export const filterQuery = (description: string) => textQuery.openapi({ description });
/**
 * A filter by a node. Empty counts as not given, as in every filter; anything else that is not a peer ID could only give an empty
 * list.
 */
export const peerQuery = (description: string) =>
  z
    .string()
    .regex(/^(12D3KooW[1-9A-HJ-NP-Za-km-z]{44})?$/, 'must be a peer ID')
    .transform(unlessEmpty)
    .optional()
    .openapi({ description });
export const ownerQuery = {
  owner: peerQuery('Peer ID of the owner node.'),
  ownerId: peerQuery('Alias of `owner`.'),
};
