import type { JSONValue } from 'hono/utils/types';
import { BODY_LIMITS } from './limits/body.ts';
import { isDeeper } from '../protocols/wire/json-depth.ts';

/**
 * The JSON that a text of a record is; the text itself where it is none, or is nested deeper than this node takes from its own clients:
 * other nodes may write anything, and what is too deep could not be written into an answer.
 */
export function jsonOf(text: string): JSONValue {
  if (isDeeper(text, BODY_LIMITS.maxDepth)) return text;
  try {
    return JSON.parse(text) as JSONValue; // what JSON.parse returns is JSON
  } catch {
    return text; // another node may have written plain text
  }
}
