import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Scope } from '../../../api/access.ts';
import { type ApiDocument, operationsOf } from '../../support/api-document.ts';
import { documentText, section } from '../../support/tables.ts';
import { endpointTable } from '../../support/endpoints.ts';
import { startNode, TEST_KEY, type TestNode } from '../../support/in-process-node.ts';
import { validValue } from '../../support/schema-values.ts';
import { tempDir } from '../../support/temp-dir.ts';

/** Who calls: the credentials, and the scopes they stand for. */
interface Role {
  readonly name: string;
  readonly scopes: readonly Scope[];
  headers(): Record<string, string>;
}

const dir = tempDir('roles');
const keys = new Map<string, string>();
let node: TestNode;
let document: ApiDocument;
const keyed = (name: string, scopes: readonly Scope[]): Role => ({
  name,
  scopes,
  headers: () => ({ 'x-api-key': keys.get(name) ?? '' }),
});
const ROLES: readonly Role[] = [
  { name: 'nobody', scopes: ['read'], headers: () => ({}) },
  keyed('a reader', ['read']),
  keyed('a user', ['read', 'write']),
  keyed('a registering node', ['register']),
  keyed('a worker', ['worker']),
  keyed('an operator', ['operator']),
  { name: 'the key of the node', scopes: ['operator'], headers: () => ({ 'x-api-key': TEST_KEY }) },
];

beforeAll(async () => {
  node = await startNode(dir.path, { RATE_LIMIT: 'off' });
  for (const { name, scopes } of ROLES.slice(1, -1)) {
    const made = await node.request('POST', '/api/keys', { userId: name.replaceAll(' ', '-'), scopes });
    expect(made.status).toBe(201);
    keys.set(name, ((await made.json()) as { key: string }).key);
  }
  document = (await (await node.app.request('/openapi.json')).json()) as ApiDocument;
});
afterAll(async () => {
  await node.stop();
  dir.remove();
});

/** Whether a call got past the door, whatever the route said then. */
async function admitted(
  method: string,
  path: string,
  body: unknown,
  headers: Record<string, string>,
): Promise<boolean> {
  const response = await node.app.request(path, {
    method: method.toUpperCase(),
    headers: { ...headers, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const type = response.headers.get('content-type') ?? '';
  if (!type.startsWith('application/json')) {
    await response.body?.cancel();
    return true;
  }
  const { error } = (await response.json()) as { error?: string };
  const refused =
    response.status === 403 &&
    error !== undefined &&
    /Invalid API Key$|this requires a key with the scope/.test(error);
  return !refused;
}

describe('who may call what', () => {
  it('is what api/README.md says, route by route', () => {
    expect(section(documentText('api/README.md'), 'endpoints')).toBe(endpointTable(document));
  });

  it('holds for every route and every role', async () => {
    const wrong: string[] = [];
    let checked = 0;
    for (const { method, path, operation } of operationsOf(document)) {
      const access = operation['x-access'];
      const schema = operation.requestBody?.content?.['application/json']?.schema;
      const body =
        schema === undefined
          ? undefined
          : fc.sample(
              validValue(schema, (ref) => document.components.schemas[ref.split('/').at(-1) ?? ''] ?? {}),
              { numRuns: 1, seed: 1 },
            )[0];
      for (const role of ROLES) {
        const may =
          access === 'open' ||
          access === 'read' ||
          (access === 'known' && role.name !== 'nobody') ||
          role.scopes.includes('operator') ||
          role.scopes.some((scope) => scope === access);
        checked++;
        const got = await admitted(method, path.replaceAll(/\{\w+\}/g, 'nothing'), body, role.headers());
        if (got !== may)
          wrong.push(`${method} ${path} (${access}): ${role.name} ${got ? 'got in' : 'was refused'}`);
      }
    }
    expect(wrong).toEqual([]);
    expect(checked).toBe(operationsOf(document).length * ROLES.length);
    expect(checked).toBeGreaterThan(200);
  });

  it('refuses a wrong key everywhere, also where none is needed, and a bad token with 401', async () => {
    const wrong = await node.app.request('/listings', { headers: { 'x-api-key': 'agk_nothing_nothing' } });
    expect([wrong.status, await wrong.json()]).toEqual([
      403,
      expect.objectContaining({ error: 'Unauthorized: Invalid API Key' }),
    ]);
    const bad = await node.app.request('/listings', { headers: { authorization: 'Bearer x.y.z' } });
    expect([bad.status, await bad.json()]).toEqual([
      401,
      expect.objectContaining({ error: 'Unauthorized: Invalid Token' }),
    ]);
  });

  it('lets nobody read without a key when PUBLIC_READS=off', async () => {
    const closed = tempDir('roles-closed');
    const other = await startNode(closed.path, { PUBLIC_READS: 'off' });
    try {
      for (const { method, path, operation } of operationsOf(document)) {
        if (operation['x-access'] !== 'read') continue;
        expect(await admitted(method, path.replaceAll(/\{\w+\}/g, 'nothing'), undefined, {})).toBe(true);
        const response = await other.app.request(path.replaceAll(/\{\w+\}/g, 'nothing'), {
          method: method.toUpperCase(),
        });
        expect([path, response.status]).toEqual([path, 403]);
      }
    } finally {
      await other.stop();
      closed.remove();
    }
  });
});
