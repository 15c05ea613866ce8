import type { JSONValue } from 'hono/utils/types';
import { COLLECTIONS } from '../protocols/open-dialog/schema.ts';
import type { RecordState } from '../protocols/open-dialog/record.ts';
import { jsonOf } from './json-text.ts';

/** Fields of the Agrinet node template that are lists; everywhere else the template has scalars. */
const LISTS = new Set(
  Object.keys(COLLECTIONS['nodes']?.fields ?? {}).filter(
    (f) =>
      ![
        'nodeId',
        'name',
        'region',
        'url',
        'schemaVersion',
        'services.messaging.enabled',
        'reputation.leveson',
      ].includes(f),
  ),
);
const DEFAULTS: Readonly<Record<string, JSONValue>> = {
  'services.messaging.enabled': false,
  'reputation.leveson': 0,
};

/** The nested template. */
export interface NodeTemplate {
  [name: string]: JSONValue | undefined;
  nodeId: string;
}

/** A profile in the nested form of the Agrinet node template, with its defaults where a field is not set. */
export function nodeTemplate(nodeId: string, view: RecordState['view'] | undefined): NodeTemplate {
  const out: NodeTemplate = { nodeId };
  for (const field of Object.keys(COLLECTIONS['nodes']?.fields ?? {})) {
    const value = view?.[field];
    if (LISTS.has(field)) setPath(out, field, listOf(value));
    else if (value !== undefined || field in DEFAULTS) setPath(out, field, value ?? DEFAULTS[field] ?? null);
  }
  return out;
}

function listOf(value: unknown): JSONValue[] {
  if (typeof value !== 'string') return [];
  const list = jsonOf(value);
  return Array.isArray(list) ? list : [value];
}

type Branch = Record<string, JSONValue | undefined>;

function setPath(out: Branch, path: string, value: JSONValue): void {
  const names = path.split('.');
  const last = names.pop() ?? path;
  let at = out;
  for (const name of names) {
    const next = at[name];
    if (typeof next === 'object' && next !== null && !Array.isArray(next)) at = next as Branch;
    else {
      const made: Branch = {};
      at[name] = made;
      at = made;
    }
  }
  at[last] = value;
}

/** The nested template flattened to the fields of the `nodes` collection; unknown ones stay and are refused by name. */
export function profileFields(body: Readonly<Record<string, unknown>>, prefix = ''): Record<string, unknown> {
  const fields: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(body)) {
    const path = prefix + name;
    if (path === 'nodeId') continue;
    if (typeof value === 'object' && value !== null && !Array.isArray(value))
      Object.assign(fields, profileFields(value as Record<string, unknown>, `${path}.`));
    else fields[path] = value;
  }
  return fields;
}
