import { createRequire } from 'node:module';
import { isIP } from 'node:net';
import type * as Multiformats from '@multiformats/multiaddr';
import { z } from 'zod';
import { fenceFromText } from '../protocols/market/geofence.ts';

/* How the text of a setting is read: each of these takes an environment variable's text and gives the value, or refuses it. */

/** Items of a list. */
export const LIST_MAX = 64;

/** Digits alone, no sign: from `min` to `max`. */
export const wholeNumber = (min: number, max: number) =>
  z
    .string()
    .regex(/^\d{1,9}$/)
    .transform(Number)
    .refine((value) => value >= min && value <= max);
export const onOff = z.enum(['on', 'off']).transform((value) => value === 'on');
/** One line of text without invisible characters. */
export const line = (max: number) =>
  z
    .string()
    .max(max)
    .refine((value) => !/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(value));
/** A time in UTC as ISO 8601 has it, to the minute or finer; milliseconds since 1970. */
export const moment = z.iso.datetime({ precision: -1 }).or(z.iso.datetime()).transform(Date.parse);
export const httpUrl = z
  .string()
  .max(2048)
  .refine(isPlainHttpUrl)
  .transform((value) => new URL(value).href.replace(/\/+$/, ''));
export const address = z.string().refine((value) => isIP(value) !== 0);
export const hostname = z.string().regex(/^(?!-)[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})*$/);
export const listOf = <T>(item: z.ZodType<T, string>) =>
  z
    .string()
    .transform((value) =>
      value
        .split(',')
        .map((part) => part.trim())
        .filter((part) => part !== ''),
    )
    .pipe(z.array(item).max(LIST_MAX));
/** A sum, in one currency or in any. */
export const acceptLimit = z
  .string()
  .regex(/^\d{1,12}(\.\d{1,2})?( [A-Z]{3})?$/)
  .transform((text) => {
    const [sum, currency] = text.split(' ');
    return { sum: Number(sum), currency };
  });
export const multiaddrText = z.string().max(512).refine(isMultiaddr);

/** Whether a circle is one; a file is read at start. */
export function isFence(text: string): boolean {
  try {
    fenceFromText(text);
    return true;
  } catch {
    return false; // that it is malformed is the answer
  }
}

function isPlainHttpUrl(text: string): boolean {
  const url = URL.parse(text);
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) return false;
  return url.username === '' && url.password === '' && url.search === '' && url.hash === '';
}

/** Loads the parser when there is an address to parse: most commands have none, and every command reads the settings. */
function isMultiaddr(text: string): boolean {
  const { multiaddr } = createRequire(import.meta.url)('@multiformats/multiaddr') as typeof Multiformats;
  try {
    multiaddr(text);
    return true;
  } catch {
    return false; // that it cannot be parsed is the answer
  }
}

/** Whether nobody in between can read what is sent there. */
export function isSafeForSecrets(text: string): boolean {
  const url = URL.parse(text);
  return url?.protocol === 'https:' || ['127.0.0.1', '[::1]', 'localhost'].includes(url?.hostname ?? '');
}

export function isRedisUrl(text: string): boolean {
  const url = URL.parse(text);
  return url !== null && (url.protocol === 'redis:' || url.protocol === 'rediss:') && url.hostname !== '';
}

/** A text as one word of a POSIX shell, for commands that are shown to be run: quoted unless it holds nothing that a shell reads otherwise. */
export function shellWord(text: string): string {
  return /^[\p{L}\p{M}\p{N}_@%+=:,./-]+$/u.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
