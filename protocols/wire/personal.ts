import type { Json } from './json.ts';

/** Names of fields that never leave a node that holds them, whatever their spelling. */
const PERSONAL = /e[-_ ]?mail|phone|^(mobile|whats[-_ ]?app)|^(tel|fax|cell)(?![a-z])|password|passwd|pwd/i;

/** Whether a field of this name is one of them. */
export function isPersonalName(name: string): boolean {
  return PERSONAL.test(name);
}

/** The object without personal fields, at any depth. */
export function withoutPersonal(value: { readonly [name: string]: Json }): Record<string, Json> {
  const kept: Record<string, Json> = Object.create(null) as Record<string, Json>;
  for (const [name, inner] of Object.entries(value)) if (!PERSONAL.test(name)) kept[name] = cleaned(inner);
  return kept;
}

function cleaned(value: Json): Json {
  if (Array.isArray(value)) return value.map(cleaned);
  if (typeof value === 'string') return withoutPersonalText(value);
  return typeof value === 'object' && value !== null ? withoutPersonal(value) : value;
}

/** Text that is JSON of an object or a list, without personal fields; any other text, and JSON that has none, just as it is. */
export function withoutPersonalText(text: string): string {
  // Looked at only where a name could match: nearly every text is no JSON.
  if (!/^\s*[{[]/.test(text)) return text;
  let value: Json;
  try {
    value = JSON.parse(text) as Json; // what JSON.parse returns is JSON
  } catch {
    return text; // no JSON: there are no fields in it
  }
  const kept = JSON.stringify(cleaned(value));
  return kept === JSON.stringify(value) ? text : kept;
}
