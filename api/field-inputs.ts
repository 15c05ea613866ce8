import { z } from '@hono/zod-openapi';
import { LIST_FIELDS } from '../protocols/market/record-fields.ts';
import { COLLECTIONS, type FieldRule } from '../protocols/open-dialog/schema.ts';

/** Accepted values of a field: numbers also as text, as old clients send them; `null` deletes. */
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
  if (LIST_FIELDS.has(name)) return { ...typeOf('array'), items: { type: 'string' } };
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
  /** Also evaluated, but not documented. */
  readonly tolerated?: z.ZodRawShape;
}

/**
 * The fields of a collection as a JSON body, with `more` in addition. All are optional here, and old clients' numbers in text are
 * accepted: the market's rules say what is required and valid. The document shows the fields that clients set, with one type each;
 * other accepted types are evaluated the same way.
 */
export function fieldsInput<M extends z.ZodRawShape>(
  collection: string,
  { name, described, required = [], nullable = false, tolerated = {} }: InputOptions,
  more: M,
) {
  const shown: Record<string, z.ZodType> = {};
  const others: Record<string, z.core.$ZodType> = { ...tolerated };
  for (const [field, rule] of Object.entries(COLLECTIONS[collection]?.fields ?? {})) {
    const input = accepted(rule).optional();
    if (!Object.hasOwn(described, field)) {
      if (!Object.hasOwn(more, field)) others[field] = input;
      continue;
    }
    const description = descriptionOf(described[field]);
    shown[field] = input.openapi({
      ...documented(field, rule, nullable),
      ...(description && { description }),
    });
  }
  const undocumented = z.looseObject(others);
  return z
    .looseObject({ ...shown, ...more })
    .superRefine((body, context) => {
      for (const { message, path } of undocumented.safeParse(body).error?.issues ?? [])
        context.addIssue({ code: 'custom', message, path });
    })
    .openapi(name, { additionalProperties: false, ...(required.length > 0 && { required: [...required] }) });
}
