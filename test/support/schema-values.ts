import fc from 'fast-check';

/** As much of JSON Schema (OpenAPI 3.1) as the API's own document uses. */
export interface JsonSchema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly anyOf?: readonly JsonSchema[];
  readonly oneOf?: readonly JsonSchema[];
  readonly allOf?: readonly JsonSchema[];
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean | JsonSchema;
  readonly unevaluatedProperties?: boolean;
  readonly items?: JsonSchema;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly pattern?: string;
  readonly format?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
}

/** Finds what a `$ref` names. */
export type Resolve = (ref: string) => JsonSchema;

/** Values that fit the schema. */
export function validValue(schema: JsonSchema, resolve: Resolve, depth = 0): fc.Arbitrary<unknown> {
  if (schema.$ref !== undefined) return validValue(resolve(schema.$ref), resolve, depth);
  if (schema.const !== undefined) return fc.constant(schema.const);
  if (schema.enum !== undefined) return fc.constantFrom(...schema.enum);
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices !== undefined) {
    // What refers to itself ends somewhere.
    const ending = choices.filter(({ type }) => type !== 'array' && type !== 'object');
    const few = depth > 3 && ending.length > 0 ? ending : choices;
    return fc.oneof(...few.map((each) => validValue(each, resolve, depth + 1)));
  }
  if (schema.allOf !== undefined)
    return fc
      .tuple(...schema.allOf.map((each) => validValue(each, resolve, depth)))
      .map((parts) => Object.assign({}, ...parts) as unknown);
  const { type } = schema;
  if (Array.isArray(type))
    return fc.oneof(...type.map((each: string) => validValue({ ...schema, type: each }, resolve, depth)));
  switch (type) {
    case 'string':
      return text(schema);
    case 'integer':
      return fc.integer({
        min: Math.max(schema.minimum ?? -1000, -2147483648),
        max: Math.min(schema.maximum ?? 1_000_000, 2147483647),
      });
    case 'number':
      return fc.double({
        min: schema.minimum ?? schema.exclusiveMinimum ?? -1e6,
        max: schema.maximum ?? 1e6,
        noNaN: true,
      });
    case 'boolean':
      return fc.boolean();
    case 'null':
      return fc.constant(null);
    case 'array':
      return fc.array(validValue(schema.items ?? {}, resolve, depth + 1), {
        minLength: schema.minItems ?? 0,
        maxLength: Math.min(schema.maxItems ?? 3, 3),
      });
    case 'object':
      return object(schema, resolve, depth);
    case undefined:
    default:
      return depth > 2 ? fc.constant('any') : fc.jsonValue({ maxDepth: 1 });
  }
}

function text({
  format,
  pattern,
  minLength = 0,
  maxLength = 24,
  ...rest
}: JsonSchema): fc.Arbitrary<unknown> {
  if (format === 'email') return fc.emailAddress();
  if (format === 'uri') return fc.webUrl();
  if (format === 'date-time') return fc.date({ noInvalidDate: true }).map((date) => date.toISOString());
  if (pattern !== undefined) return fc.stringMatching(new RegExp(pattern));
  void rest;
  return fc.string({ minLength, maxLength: Math.min(maxLength, minLength + 24), unit: 'grapheme' });
}

function object(schema: JsonSchema, resolve: Resolve, depth: number): fc.Arbitrary<unknown> {
  const entries = Object.entries(schema.properties ?? {});
  const model = Object.fromEntries(
    entries.map(([name, each]) => [name, validValue(each, resolve, depth + 1)]),
  );
  const required = new Set(schema.required ?? []);
  const known = fc.record(model, {
    requiredKeys: entries.map(([name]) => name).filter((name) => required.has(name)),
  });
  const more = schema.additionalProperties;
  if (typeof more !== 'object') return known;
  return fc
    .tuple(
      fc.dictionary(fc.string({ maxLength: 12 }), validValue(more, resolve, depth + 1), { maxKeys: 2 }),
      known,
    )
    .map(([extra, given]) => ({ ...extra, ...given }));
}

/** Values that mostly do not fit: other types, missing and foreign fields, hostile texts and sizes. */
export function hostileValue(schema: JsonSchema, resolve: Resolve): fc.Arbitrary<unknown> {
  return fc.oneof(
    fc.jsonValue({ maxDepth: 3 }),
    fc.constantFrom(...HOSTILE),
    validValue(schema, resolve).chain((value) => damaged(value)),
  );
}

/** One place of a value replaced, removed or added. */
function damaged(value: unknown): fc.Arbitrary<unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return fc.constantFrom(...HOSTILE);
  const names = Object.keys(value);
  const name = names.length === 0 ? fc.constant('added') : fc.constantFrom(...names, 'added', '__proto__');
  return fc
    .tuple(name, fc.constantFrom<unknown>(...HOSTILE))
    .map(([at, put]) => Object.assign(Object.create(null) as object, value, { [at]: put }));
}

const HOSTILE: readonly unknown[] = [
  undefined,
  null,
  true,
  0,
  -1,
  1e308,
  Number.MAX_SAFE_INTEGER,
  '',
  ' ',
  '\u0000',
  '\uFEFFx',
  '\uD800',
  '../../etc/passwd',
  '%2e%2e%2f',
  '__proto__',
  "' OR 1=1 --",
  '<script>alert(1)</script>',
  'x'.repeat(5000),
  [],
  {},
  [[[[[]]]]],
  { constructor: { prototype: {} } },
];
