import { AgrinetError } from '../errors.ts';
import type { Scalar } from '../open-dialog/change.ts';
import type { RecordState } from '../open-dialog/record.ts';
import { COLLECTIONS, fieldRule } from '../open-dialog/schema.ts';
import type { Json } from '../wire/json.ts';

/** Fields whose value is a list of texts, kept as one JSON scalar. */
export const LIST_FIELDS: ReadonlySet<string> = new Set(['images', 'tags', 'interoperability']);

/** The fields of a JSON body as scalars: numbers in text where a number belongs, lists as one JSON scalar, coordinates with five decimals. */
export function scalarsOf(
  collectionName: string,
  body: Readonly<Record<string, unknown>>,
): Record<string, Scalar | undefined> {
  const collection = COLLECTIONS[collectionName];
  const fields: Record<string, Scalar | undefined> = {};
  for (const [field, value] of Object.entries(body)) {
    const rule = collection && fieldRule(collection, field);
    if (value === null) fields[field] = undefined;
    else if (typeof value === 'number' && rule?.type === 'string')
      fields[field] = field.startsWith('geo') ? value.toFixed(5) : String(value);
    else if (typeof value === 'number') fields[field] = value === 0 ? 0 : value;
    else if (typeof value === 'string' && rule?.type === 'number' && value.trim() !== '')
      fields[field] = Number(value);
    else if (typeof value === 'string' || typeof value === 'boolean') fields[field] = value;
    else if (Array.isArray(value) || typeof value === 'object') fields[field] = JSON.stringify(value);
    else
      throw new AgrinetError('fields-invalid', `${field}: must be text, a number, true or false, or a list`);
  }
  return fields;
}

/** A view as JSON: lists that were kept as one scalar are lists again. */
export function viewJson(view: RecordState['view']): Record<string, Json> {
  const json: Record<string, Json> = {};
  for (const [field, value] of Object.entries(view))
    json[field] = typeof value === 'string' && LIST_FIELDS.has(field) ? listOf(value) : value;
  return json;
}

/** A list of texts, whoever wrote it: a value that is not a list becomes its one item, an item that is not a text its JSON. */
function listOf(text: string): string[] {
  if (text === '') return [];
  if (!text.startsWith('[')) return [text];
  try {
    const items = JSON.parse(text) as Json[]; // what JSON.parse returns is JSON, and it began like a list
    return items.map((item) => (typeof item === 'string' ? item : JSON.stringify(item)));
  } catch {
    return [text]; // written by somebody who meant text that begins with a bracket
  }
}
