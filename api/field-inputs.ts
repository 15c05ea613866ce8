import { z } from '@hono/zod-openapi';
import { COLLECTIONS, type FieldRule } from '../protocols/open-dialog/schema.ts';

const listNames: ReadonlySet<string> = new Set(['images', 'tags']);

/** What clients may send for a field: numbers also as text, as old clients do; `null` deletes. */
function accepted(rule: FieldRule): z.ZodType {
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

/** One type for each field, as the document shows it. */
function documented(name: string, rule: FieldRule, nullable: boolean): Record<string, unknown> {
  const typeOf = (type: string): Record<string, unknown> => ({ type: nullable ? [type, 'null'] : type });
  if (listNames.has(name)) return { ...typeOf('array'), items: { type: 'string' } };
  switch (rule.type) {
    case 'number':
      return {
        ...typeOf('number'),
        ...(rule.min === undefined ? {} : { minimum: rule.min }),
        ...(rule.max === undefined ? {} : { maximum: rule.max }),
      };
    case 'boolean':
      return typeOf('boolean');
    case 'string':
      return rule.oneOf === undefined
        ? { ...typeOf('string'), maxLength: rule.max }
        : { ...typeOf('string'), enum: nullable ? [...rule.oneOf, null] : rule.oneOf };
  }
}

/** The text that describes a field of an answer, whether it is optional there or not. */
function descriptionOf(schema: z.ZodType | undefined): string | undefined {
  return schema instanceof z.ZodOptional ? descriptionOf(schema.unwrap() as z.ZodType) : schema?.description;
}

/** How a body is documented. */
export interface InputOptions {
  /** Name of its component. */
  readonly name: string;
  /** The schema that describes the same fields in answers. */
  readonly described: Readonly<Record<string, z.ZodType>>;
  readonly required?: readonly string[];
  /** Whether null deletes a field. */
  readonly nullable?: boolean;
}

/**
 * The fields of a collection as a JSON body, with `more` beside them. All are optional here, and old clients' numbers in text are taken:
 * what is required and valid the market's rules say. The document has the fields that clients set, with one type each.
 */
export function fieldsInput<M extends z.ZodRawShape>(
  collection: string,
  { name, described, required = [], nullable = false }: InputOptions,
  more: M,
) {
  const fields = Object.entries(COLLECTIONS[collection]?.fields ?? {}).flatMap(([field, rule]) => {
    const description = descriptionOf(described[field]);
    if (description === undefined && !Object.hasOwn(described, field)) return [];
    const shown = { ...documented(field, rule, nullable), ...(description && { description }) };
    return [[field, accepted(rule).optional().openapi(shown)] as const];
  });
  return z
    .looseObject({ ...Object.fromEntries(fields), ...more })
    .openapi(name, { additionalProperties: false, ...(required.length > 0 && { required: [...required] }) });
}
