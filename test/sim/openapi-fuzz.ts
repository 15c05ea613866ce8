import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import fc from 'fast-check';
import { type ApiDocument, type Operation, operationsOf } from '../support/api-document.ts';
import { hostileValue, type JsonSchema, type Resolve, validValue } from '../support/schema-values.ts';

/** One request to send. */
interface Call {
  readonly path: string;
  readonly headers: Record<string, string>;
  readonly body: string | undefined;
}

/** What a campaign found. */
export interface FuzzReport {
  readonly calls: number;
  readonly operations: number;
  readonly statuses: Record<string, number>;
  readonly faults: string[];
}

/**
 * Calls every operation with generated input, `perOperation` times, half of it valid. A 5xx, a status that is not declared and
 * an answer outside its schema are faults.
 */
export async function fuzzApi(
  document: ApiDocument,
  send: (method: string, call: Call) => Promise<Response>,
  options: { perOperation: number; seed: number },
): Promise<FuzzReport> {
  const resolve: Resolve = (ref) => document.components.schemas[ref.split('/').at(-1) ?? ''] ?? {};
  const ajv = new Ajv2020({ strict: false, allErrors: false });
  addFormats.default(ajv);
  ajv.addSchema({ $id: 'api', ...document });
  const statuses: Record<string, number> = {};
  const faults: string[] = [];
  let calls = 0;
  const operations = operationsOf(document);
  for (const [index, { method, path, operation }] of operations.entries()) {
    const checks = new Map(
      Object.entries(operation.responses).map(([status, { content }]) => {
        const pointer = `api#/paths/${escape(path)}/${method}/responses/${status}/content/application~1json/schema`;
        return [
          status,
          content?.['application/json'] === undefined ? undefined : ajv.compile({ $ref: pointer }),
        ];
      }),
    );
    const inputs = fc.sample(callsOf(path, operation, resolve), {
      numRuns: options.perOperation,
      seed: options.seed + index,
    });
    for (const call of inputs) {
      calls++;
      const response = await send(method, call);
      statuses[response.status] = (statuses[response.status] ?? 0) + 1;
      const fault = await faultOf(response, operation, checks);
      if (fault !== undefined && faults.length < 50)
        faults.push(
          `${method.toUpperCase()} ${call.path.slice(0, 200)} ${(call.body ?? '').slice(0, 300)}: ${fault}`,
        );
    }
  }
  return { calls, operations: operations.length, statuses, faults };
}

const escape = (path: string): string => encodeURIComponent(path.replaceAll('~', '~0').replaceAll('/', '~1'));

async function faultOf(
  response: Response,
  operation: Operation,
  checks: ReadonlyMap<string, ((value: unknown) => boolean) | undefined>,
): Promise<string | undefined> {
  const { status } = response;
  const type = response.headers.get('content-type') ?? '';
  const declared = operation.responses[String(status)];
  if (type.startsWith('text/event-stream')) {
    await response.body?.cancel();
    return declared === undefined ? 'an event stream that is not declared' : undefined;
  }
  const text = await response.text();
  if (status >= 500 && declared === undefined) return `${status} ${text.slice(0, 200)}`;
  if (status < 400 && declared === undefined) return `undeclared status ${status}`;
  const check = checks.get(declared === undefined ? 'default' : String(status));
  if (check === undefined || !type.startsWith('application/json')) {
    const other = Object.keys(declared?.content ?? {});
    if (status === 204 || other.some((each) => type.startsWith(each))) return undefined;
    return other.length === 0 && text === '' ? undefined : `an answer of type ${type} that is not declared`;
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return `no JSON: ${text.slice(0, 100)}`;
  }
  return check(value) ? undefined : `outside its schema: ${text.slice(0, 300)}`;
}

function callsOf(path: string, operation: Operation, resolve: Resolve): fc.Arbitrary<Call> {
  const parameters = operation.parameters ?? [];
  const valueOf = (schema: JsonSchema | undefined, valid: boolean): fc.Arbitrary<unknown> =>
    valid ? validValue(schema ?? {}, resolve) : hostileValue(schema ?? {}, resolve);
  return fc.boolean().chain((valid) => {
    const given = fc.tuple(
      ...parameters.map(({ schema, required }) =>
        required === true ? valueOf(schema, valid) : fc.option(valueOf(schema, valid), { nil: undefined }),
      ),
    );
    const content = Object.entries(operation.requestBody?.content ?? {});
    const body: fc.Arbitrary<[string, string] | undefined> =
      content.length === 0
        ? fc.constant(undefined)
        : fc.constantFrom(...content).chain(([type, media]) => bodyOf(type, media.schema, valid, valueOf));
    return fc.tuple(given, body).map(([values, sent]) => {
      let url = path;
      const query = new URLSearchParams();
      const headers: Record<string, string> = {};
      for (const [i, parameter] of parameters.entries()) {
        const value = values[i];
        const text = typeof value === 'string' ? value.toWellFormed() : JSON.stringify(value);
        if (text === undefined) {
          if (parameter.in === 'path') url = url.replace(`{${parameter.name}}`, 'x');
          continue;
        }
        if (parameter.in === 'path')
          url = url.replace(`{${parameter.name}}`, encodeURIComponent(text.slice(0, 2000)) || 'x');
        else if (parameter.in === 'query') query.set(parameter.name, text);
        else if (/^[\x20-\x7e]*$/.test(text)) headers[parameter.name] = text;
      }
      if (sent !== undefined) headers['content-type'] = sent[0];
      const search = query.toString();
      return { path: search === '' ? url : `${url}?${search}`, headers, body: sent?.[1] };
    });
  });
}

function bodyOf(
  type: string,
  schema: JsonSchema | undefined,
  valid: boolean,
  valueOf: (schema: JsonSchema | undefined, valid: boolean) => fc.Arbitrary<unknown>,
): fc.Arbitrary<[string, string] | undefined> {
  const json = valueOf(schema, valid).map((value): [string, string] => [type, JSON.stringify(value) ?? '']);
  if (valid && type === 'application/json') return json;
  if (type === 'application/json')
    return fc.oneof(
      json,
      fc.constantFrom<[string, string] | undefined>(
        undefined,
        [type, '{'],
        [type, ''],
        ['text/plain', '{}'],
        [type, `${'['.repeat(500)}`],
      ),
    );
  return fc.oneof(
    json,
    fc
      .array(
        fc.jsonValue({ maxDepth: 2 }).map((value) => JSON.stringify(value)),
        { maxLength: 4 },
      )
      .map((lines): [string, string] => [type, lines.join('\n')]),
    fc.string().map((text): [string, string] => [type, text]),
  );
}
