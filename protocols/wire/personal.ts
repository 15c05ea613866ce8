import type { Json } from './json.ts';
import { isDeeper } from './json-depth.ts';

/** Names of fields that never leave a node that holds them, whatever their spelling. */
const PERSONAL = /e[-_ ]?mail|phone|^(mobile|whats[-_ ]?app)|^(tel|fax|cell)(?![a-z])|password|passwd|pwd/i;

/** Whether such a name may be in a JSON text at all, also when escaped. */
const MAYBE = /mail|phone|mobile|whats|tel|fax|cell|pass|pwd|\\u/i;

/**
 * Levels of JSON within texts that are checked: twice as many as any client may send. Deeper levels are left out where a name may be
 * in them.
 */
const DEPTH = 64;

/** Whether a field of this name is one of them. */
export function isPersonalName(name: string): boolean {
  return PERSONAL.test(name);
}

/** The object without personal fields, at any depth. */
export function withoutPersonal(value: { readonly [name: string]: Json }): Record<string, Json> {
  const kept: Record<string, Json> = Object.create(null) as Record<string, Json>;
  for (const [name, inner] of Object.entries(value)) if (!PERSONAL.test(name)) kept[name] = cleaned(inner, 1);
  return kept;
}

function cleaned(value: Json, depth: number): Json {
  if (typeof value === 'string') return withoutPersonalText(value);
  if (typeof value !== 'object' || value === null) return value;
  if (depth > DEPTH) return null;
  if (Array.isArray(value)) return value.map((each) => cleaned(each, depth + 1));
  const kept: Record<string, Json> = Object.create(null) as Record<string, Json>;
  for (const [name, inner] of Object.entries(value))
    if (!PERSONAL.test(name)) kept[name] = cleaned(inner, depth + 1);
  return kept;
}

/** Text that is JSON of an object or a list, without personal fields; any other text, and JSON that has none, just as it is. */
export function withoutPersonalText(text: string): string {
  // Parsed only where a name could match: nearly every text is not JSON.
  if (!/^\s*[{[]/.test(text)) return text;
  const isDeep = isDeeper(text, DEPTH);
  if (isDeep && !MAYBE.test(text)) return text;
  let value: Json;
  try {
    value = JSON.parse(text) as Json; // what JSON.parse returns is JSON
  } catch {
    return text; // no JSON: there are no fields in it
  }
  const kept = JSON.stringify(cleaned(value, 1));
  if (isDeep) return kept;
  return kept === JSON.stringify(value) ? text : kept;
}
