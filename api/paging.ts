import type { Context } from 'hono';
import { AgrinetError } from '../protocols/errors.ts';
import { sha256Hex } from '../protocols/wire/bytes.ts';

/**
 * Hex digits that bind a cursor to its list: enough to detect a mistake. A made-up cursor only gives a position in a list that its
 * caller may read anyway.
 */
const CHECK = 8;
/** Part of every query, and of no list. */
const NOT_OF_LIST: ReadonlySet<string> = new Set(['cursor', 'limit', 'x-api-key', '_']);

/** The name of a list: its route and its filters, in the order of their names. */
function listOf(c: Context): string {
  const filters = [...new URL(c.req.url).searchParams].filter(([name]) => !NOT_OF_LIST.has(name)).sort();
  return JSON.stringify([c.req.path, filters]);
}

const checkOf = (c: Context, place: string): string =>
  sha256Hex(new TextEncoder().encode(`${listOf(c)}\n${place}`)).slice(0, CHECK);

/** The list's own position that `cursor` names. Throws `query-invalid` for anything else, and for a cursor of another list. */
export function placeOf(c: Context, cursor: string | undefined): string | undefined {
  if (cursor === undefined) return undefined;
  const place = Buffer.from(cursor.slice(CHECK), 'base64url').toString('utf8');
  if (cursor !== cursorOf(c, place))
    throw new AgrinetError(
      'query-invalid',
      'cursor: not valid for this list and these filters; send the cursor of the previous page with the same filters, or leave it out to start again',
    );
  return place;
}

/** The cursor of the next page, as a part of the answer; nothing at the end. */
export function nextOf(c: Context, place: string | undefined): { readonly cursor?: string } {
  return place === undefined ? {} : { cursor: cursorOf(c, place) };
}

function cursorOf(c: Context, place: string): string {
  return checkOf(c, place) + Buffer.from(place).toString('base64url');
}
