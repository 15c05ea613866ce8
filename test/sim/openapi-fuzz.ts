import fc from 'fast-check';
import { answerSchemas } from '../support/answer-schemas.ts';
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
  const schemas = answerSchemas(document);
  const statuses: Record<string, number> = {};
  const faults: string[] = [];
  let calls = 0;
  const operations = operationsOf(document);
  for (const [index, { method, path, operation }] of operations.entries()) {
    const inputs = fc.sample(callsOf(path, operation, resolve), {
      numRuns: options.perOperation,
      seed: options.seed + index,
    });
    for (const call of inputs) {
      calls++;
      const response = await send(method, call);
      statuses[response.status] = (statuses[response.status] ?? 0) + 1;
      const fault = await faultOf(response, operation, (value) =>
        schemas.faultOf(method, path, response.status, value),
      );
      if (fault !== undefined && faults.length < 50)
        faults.push(
          `${method.toUpperCase()} ${call.path.slice(0, 200)} ${(call.body ?? '').slice(0, 300)}: ${fault}`,
        );
    }
  }
  return { calls, operations: operations.length, statuses, faults };
}

async function faultOf(
  response: Response,
  operation: Operation,
  check: (value: unknown) => string | undefined,
): Promise<string | undefined> {
  const { status } = response;
  const type = response.headers.get('content-type') ?? '';
  const declared = operation.responses[String(status)];
  if (declared === undefined) return `undeclared status ${status}`;
  if (type.startsWith('text/event-stream')) {
    await response.body?.cancel();
    return declared.content?.['text/event-stream'] === undefined
      ? 'an event stream that is not declared'
      : undefined;
  }
  const text = await response.text();
  // A refusal by the node's own fault is declared, and still none that a call may bring about.
  if (status >= 500 && declared['x-error-codes'] !== undefined) return `${status} ${text.slice(0, 200)}`;
  if (declared.content?.['application/json'] === undefined || !type.startsWith('application/json')) {
    const other = Object.keys(declared.content ?? {});
    if (status === 204 || other.some((each) => type.startsWith(each))) return undefined;
    return other.length === 0 && text === '' ? undefined : `an answer of type ${type} that is not declared`;
  }
  try {
    return check(JSON.parse(text));
  } catch {
    return `no JSON: ${text.slice(0, 100)}`;
  }
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
          // No client can send a segment of one dot or two: a URL resolves them to another path.
          url = url.replace(
            `{${parameter.name}}`,
            encodeURIComponent(text.slice(0, 2000)).replace(/^\.{0,2}$/, 'x'),
          );
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
