import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { type ApiDocument, operationsOf } from './api-document.ts';
import type { JsonSchema } from './schema-values.ts';

const escape = (path: string): string => encodeURIComponent(path.replaceAll('~', '~0').replaceAll('/', '~1'));

/**
 * The schema with nothing beside what it names: a field of an answer that it does not have is a fault. Where a schema stands for a whole
 * value, and not for a part of `allOf`, it takes no other property.
 */
function closed(schema: JsonSchema, part = false): JsonSchema {
  const mapped = {
    ...schema,
    ...(schema.properties && {
      properties: Object.fromEntries(
        Object.entries(schema.properties).map(([name, each]) => [name, closed(each)]),
      ),
    }),
    ...(schema.items && { items: closed(schema.items) }),
    ...(typeof schema.additionalProperties === 'object' && {
      additionalProperties: closed(schema.additionalProperties),
    }),
    ...(schema.anyOf && { anyOf: schema.anyOf.map((each) => closed(each)) }),
    ...(schema.oneOf && { oneOf: schema.oneOf.map((each) => closed(each)) }),
    ...(schema.allOf && { allOf: schema.allOf.map((each) => closed(each, true)) }),
  };
  return part || Object.keys(schema).length === 0 ? mapped : { ...mapped, unevaluatedProperties: false };
}

/** Holds answers against what the document says of them, each field of them. */
export interface AnswerSchemas {
  /** What is wrong with a JSON answer; undefined when nothing is, or when none was declared for this status. */
  faultOf(method: string, path: string, status: number, value: unknown): string | undefined;
}

export function answerSchemas(document: ApiDocument): AnswerSchemas {
  const ajv = new Ajv2020({ strict: false, allErrors: true });
  addFormats.default(ajv);
  const schemas = Object.entries(document.components.schemas).map(
    // A component is a part of what refers to it, which closes it.
    ([name, schema]) => [name, closed(schema, true)] as const,
  );
  const paths = Object.fromEntries(
    operationsOf(document).map(({ method, path, operation }) => [
      `${method} ${path}`,
      Object.fromEntries(
        Object.entries(operation.responses).map(([status, { content }]) => [
          status,
          closed(content?.['application/json']?.schema ?? {}),
        ]),
      ),
    ]),
  );
  ajv.addSchema({ $id: 'api', components: { schemas: Object.fromEntries(schemas) }, paths });
  const operations = new Map(
    operationsOf(document).map(({ method, path, operation }) => [`${method} ${path}`, operation]),
  );
  /** By name and status. */
  const checks = new Map<string, ValidateFunction>();
  return {
    faultOf(method, path, status, value) {
      const name = `${method} ${path}`;
      const declared = operations.get(name)?.responses[String(status)];
      if (declared === undefined) return `status ${status} is not declared`;
      if (declared.content?.['application/json'] === undefined) return undefined;
      const place = `${escape(name)}/${status}`;
      let check = checks.get(place);
      if (check === undefined) checks.set(place, (check = ajv.compile({ $ref: `api#/paths/${place}` })));
      if (!check(value)) return `${ajv.errorsText(check.errors)}: ${JSON.stringify(value).slice(0, 300)}`;
      const codes = declared['x-error-codes'];
      const { code } = (value ?? {}) as { readonly code?: string };
      return codes === undefined || codes.includes(code ?? '') ? undefined : `code ${code} is not declared`;
    },
  };
}
