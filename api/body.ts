import type { Context } from 'hono';
import { AgrinetError } from '../protocols/errors.ts';

/** The largest JSON body: a listing with long texts is far below. */
export const MAX_BODY_BYTES = 256 * 1024;

/** A JSON object from the request. Throws `body-too-large` or `body-malformed`. */
export async function jsonBody(c: Context): Promise<Record<string, unknown>> {
  if (Number(c.req.header('content-length') ?? 0) > MAX_BODY_BYTES) throw tooLarge();
  const text = await c.req.text();
  if (text.length > MAX_BODY_BYTES) throw tooLarge();
  return jsonObject(text);
}

/** Reads one JSON object. Throws `body-malformed`. */
export function jsonObject(text: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new AgrinetError('body-malformed', 'the body is not JSON', { cause: error });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new AgrinetError('body-malformed', 'the body must be a JSON object');
  return value as Record<string, unknown>;
}

const tooLarge = (): AgrinetError =>
  new AgrinetError('body-too-large', `the body is over ${MAX_BODY_BYTES / 1024} KiB`);

/** A whole number of the query in its range, or the default. Throws `query-invalid`. */
export function queryNumber(c: Context, name: string, fallback: number, min: number, max: number): number {
  const text = c.req.query(name);
  if (text === undefined) return fallback;
  const value = Number(text);
  if (!Number.isInteger(value) || value < min || value > max)
    throw new AgrinetError('query-invalid', `${name}: a whole number from ${min} to ${max}`);
  return value;
}
