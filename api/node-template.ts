import { COLLECTIONS } from '../protocols/open-dialog/schema.ts';
import type { RecordState } from '../protocols/open-dialog/record.ts';

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
const DEFAULTS: Readonly<Record<string, unknown>> = {
  'services.messaging.enabled': false,
  'reputation.leveson': 0,
};

/** A profile in the nested form of the Agrinet node template, with its defaults where a field is not set. */
export function nodeTemplate(nodeId: string, view: RecordState['view'] | undefined): Record<string, unknown> {
  const out: Record<string, unknown> = { nodeId };
  for (const field of Object.keys(COLLECTIONS['nodes']?.fields ?? {})) {
    const value = view?.[field];
    if (LISTS.has(field)) setPath(out, field, listOf(value));
    else if (value !== undefined || field in DEFAULTS) setPath(out, field, value ?? DEFAULTS[field]);
  }
  return out;
}

function listOf(value: unknown): unknown[] {
  if (typeof value !== 'string') return [];
  try {
    const list: unknown = JSON.parse(value);
    return Array.isArray(list) ? list : [value];
  } catch {
    return [value]; // a peer may have written plain text
  }
}

function setPath(out: Record<string, unknown>, path: string, value: unknown): void {
  const names = path.split('.');
  const last = names.pop() ?? path;
  let at = out;
  for (const name of names) {
    const next = at[name];
    if (typeof next === 'object' && next !== null) at = next as Record<string, unknown>;
    else at = at[name] = {};
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
