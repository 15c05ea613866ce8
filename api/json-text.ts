import type { JSONValue } from 'hono/utils/types';
import { BODY_LIMITS } from './limits/body.ts';
import { isDeeper } from '../protocols/wire/json-depth.ts';

/**
 * The JSON value of a record's text; the text itself where it is not JSON, or is nested deeper than this node accepts from its own
 * clients: other nodes may write anything, and deeper values could not be serialised.
 */
export function jsonOf(text: string): JSONValue {
  if (isDeeper(text, BODY_LIMITS.maxDepth)) return text;
  try {
    return JSON.parse(text) as JSONValue; // what JSON.parse returns is JSON
  } catch {
    return text; // another node may have written plain text
  }
}
