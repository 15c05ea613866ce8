import { Validator } from '@seriousme/openapi-schema-validator';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isPage } from '../../api/authenticate.ts';
import { type ApiDocument, operationsOf } from '../support/api-document.ts';
import { startNode, TEST_KEY, type TestNode } from '../support/in-process-node.ts';
import { tempDir } from '../support/temp-dir.ts';
import type { JsonSchema } from '../support/schema-values.ts';
import { fuzzApi } from './openapi-fuzz.ts';

/** Calls in all; the full campaign is COUNT=20000 (npm run campaign:openapi). */
const COUNT = Number(process.env['COUNT'] ?? 5000);
const SEED = Number(process.env['SEED'] ?? 7);

const dir = tempDir('openapi');
let node: TestNode;
let document: ApiDocument;
beforeAll(async () => {
  node = await startNode(dir.path, { RATE_LIMIT: 'off' });
  document = (await (await node.app.request('/openapi.json')).json()) as ApiDocument;
});
afterAll(async () => {
  await node.stop();
  dir.remove();
});

/** Places of a schema that say nothing of a value, or of an object only that it is one. */
function emptyIn(schema: JsonSchema | undefined, at: string): string[] {
  if (schema?.$ref !== undefined) return [];
  const {
    type,
    properties,
    additionalProperties: more,
    items,
    anyOf = [],
    oneOf = [],
    allOf = [],
  } = schema ?? {};
  const choices = [...anyOf, ...oneOf, ...allOf];
  const says = type ?? schema?.enum ?? schema?.const;
  const some = [type].flat().includes('object')
    ? [properties, more, allOf[0]].some((each) => each !== undefined)
    : true;
  const listed = [type].flat().includes('array') ? items !== undefined : true;
  const empty = (says === undefined && choices.length === 0) || !some || !listed;
  return [
    ...(empty ? [at] : []),
    ...Object.entries(properties ?? {}).flatMap(([name, each]) => emptyIn(each, `${at}.${name}`)),
    ...(items === undefined ? [] : emptyIn(items, `${at}[]`)),
    ...(typeof more === 'object' ? emptyIn(more, `${at}{}`) : []),
    ...choices.flatMap((each, i) => emptyIn(each, `${at}|${i}`)),
  ];
}

describe('the OpenAPI document', () => {
  it('is valid OpenAPI 3.1', async () => {
    const result = await new Validator().validate(
      JSON.parse(JSON.stringify(document)) as Record<string, unknown>,
    );
    expect(result.errors).toBeUndefined();
    expect(result.valid).toBe(true);
  });

  it('documents every route there is, and every documented route is there', async () => {
    const documented = new Set(operationsOf(document).map(({ method, path }) => `${method} ${path}`));
    const routed = new Set(
      node.app.routes
        .filter(({ method, path }) => method !== 'ALL' && !isPage(path))
        .map(
          ({ method, path }) => `${method.toLowerCase()} ${path.replaceAll(/:(\w+)(\{[^}]*\})?/g, '{$1}')}`,
        ),
    );
    expect([...documented].filter((each) => !routed.has(each))).toEqual([]);
    expect([...routed].filter((each) => !documented.has(each))).toEqual([]);
  });

  it('names every operation once, a verb and what it is about', () => {
    const ids = operationsOf(document).map(({ operation }) => operation.operationId);
    expect(ids.filter((id) => !/^[a-z]+([A-Z][a-z]+)+$/.test(id))).toEqual([]);
    expect(ids.filter((id, i) => ids.indexOf(id) !== i)).toEqual([]);
  });

  it('describes every operation, its input and what it answers: no schema is empty', () => {
    const wrong: string[] = [];
    for (const { operation } of operationsOf(document)) {
      const { operationId, summary, parameters = [], requestBody, responses } = operation;
      if (!/^[A-Z].{8,}[^.]$/.test(summary)) wrong.push(`${operationId}: summary`);
      const answers = Object.entries(responses).flatMap(([status, { content = {} }]) =>
        Object.entries(content).map(([type, { schema }]) => [`${status} ${type}`, schema] as const),
      );
      if (answers.every(([name]) => !name.startsWith('2')) && responses['204'] === undefined)
        wrong.push(`${operationId}: no answer`);
      const named = [
        ...answers,
        ...Object.entries(requestBody?.content ?? {}).map(([type, { schema }]) => [type, schema] as const),
        ...parameters.map(({ name, schema }) => [name, schema] as const),
      ];
      for (const [name, schema] of named) wrong.push(...emptyIn(schema, `${operationId} ${name}`));
    }
    for (const [name, schema] of Object.entries(document.components.schemas))
      if (name !== 'JsonValue') wrong.push(...emptyIn(schema, name));
    expect(wrong).toEqual([]);
  });

  it(`takes ${COUNT} generated calls without a 5xx and without an answer outside its schema (seed ${SEED})`, async () => {
    const perOperation = Math.ceil(COUNT / operationsOf(document).length);
    const report = await fuzzApi(
      document,
      async (method, { path, headers, body }) =>
        node.app.request(path, {
          method: method.toUpperCase(),
          headers: { 'x-api-key': TEST_KEY, ...headers },
          ...(body === undefined ? {} : { body }),
        }),
      { perOperation, seed: SEED },
    );
    expect(report.faults, `seed ${SEED}`).toEqual([]);
    expect(report.calls).toBeGreaterThanOrEqual(COUNT);
    expect(Object.keys(report.statuses).map(Number)).toEqual(expect.arrayContaining([200, 201, 400, 404]));
    console.log(`openapi: ${report.calls} calls of ${report.operations} routes`, report.statuses);
  }, 300_000);
});
