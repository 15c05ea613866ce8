import { BadRow, quoted } from './csv-columns.ts';
import { decimalOf } from './csv-numbers.ts';

/* What a cell of a file says. Each throws `BadRow` with the reason where it cannot say that. */

/** What spreadsheets and pandas write for a missing number. */
const NO_NUMBER = new Set(['', 'nan', 'na', 'n/a', 'null', 'none', '-']);

/** A field that is left out where its cell is empty. */
export function optional<K extends string>(name: K, value: string): { [key in K]?: string } {
  return value === '' ? {} : ({ [name]: value } as { [key in K]: string });
}

export function required(value: string, name: string): string {
  if (value === '') throw new BadRow(`missing ${name}`);
  return value;
}

/** A number that is not negative; undefined where there is none. With `commas`, its row has decimal commas. */
export function numberIn(text: string, name: string, commas: boolean): number | undefined {
  if (NO_NUMBER.has(text.toLowerCase())) return undefined;
  const value = decimalOf(text, commas);
  if (typeof value === 'string') throw new BadRow(`${name} ${value}: ${quoted(text)}`);
  if (value < 0) throw new BadRow(`negative ${name}: ${text}`);
  return value;
}

/** Degrees from -`limit` to `limit`; undefined where there are none. */
export function coordinateIn(text: string, name: string, limit: number): number | undefined {
  if (NO_NUMBER.has(text.toLowerCase())) return undefined;
  // No degree has thousands: a comma is a decimal one.
  const value = decimalOf(text.replace(/^([+-]?\d{1,3}),(\d+)$/, '$1.$2'), false);
  if (typeof value === 'string' || Math.abs(value) > limit) throw new BadRow(`bad ${name}: ${quoted(text)}`);
  return value;
}
