import { CsvError } from 'csv-parse';
import { parse as parseCsv } from 'csv-parse/sync';
import type { TextLine } from './lines.ts';

/** A field that continues over more lines than this has a stray quote. */
const MOST_LINES = 8;

/** One record, by the line it begins at. */
export type CsvRecord = { readonly line: number } & (
  | { readonly cells: readonly string[] }
  | { readonly error: string }
);

/**
 * Lines joined into records: one each, or several where a quoted field continues. So a stray quote costs only its own line and no
 * good line after it.
 */
export class CsvRecords {
  readonly #lines: AsyncGenerator<TextLine>;
  /** Lines that were read ahead and have yet to be processed. */
  readonly #ahead: TextLine[] = [];
  #delimiter = ',';

  constructor(lines: AsyncGenerator<TextLine>) {
    this.#lines = lines;
  }

  /** The first record; `delimiterOf` determines the delimiter of all from its first line. */
  async header(delimiterOf: (line: string) => string): Promise<CsvRecord | undefined> {
    const line = await this.#line();
    if (line === undefined) return undefined;
    // `sep=;` tells Excel the delimiter; the header shows it too.
    if (/^sep=.$/i.test(line.text.trim())) return this.header(delimiterOf);
    this.#delimiter = delimiterOf(line.text);
    this.#ahead.unshift(line);
    return this.next(undefined);
  }

  /**
   * The next record; if it continues over several lines, the first of them. `width` is the number of cells that a record over
   * several lines must have.
   */
  async next(width: number | undefined): Promise<CsvRecord | undefined> {
    const first = await this.#line();
    if (first === undefined) return undefined;
    const { line, text, tooLong } = first;
    const problem = tooLong ? 'the line is too long' : problemOf(text);
    if (problem !== undefined) return { line, error: problem };
    const parsed = split(text, this.#delimiter);
    if (parsed !== 'open') return 'error' in parsed ? { line, ...parsed } : { line, cells: parsed.cells };
    const whole = await this.#goOn(text, width);
    return { line, ...(whole ?? { error: QUOTES }) };
  }

  /**
   * A record from one line with an open quote and the lines after it; undefined, with those lines not consumed, when the quote is a
   * stray one.
   */
  async #goOn(start: string, width: number | undefined): Promise<{ cells: readonly string[] } | undefined> {
    let text = start;
    for (let more = 0; more < MOST_LINES; more++) {
      const next = this.#ahead[more] ?? (await this.#read());
      if (next === undefined) return undefined;
      if (this.#ahead[more] === undefined) this.#ahead.push(next);
      if (next.tooLong || problemOf(next.text) !== undefined) return undefined;
      text += `\n${next.text}`;
      const parsed = split(text, this.#delimiter);
      if (parsed === 'open') continue;
      if ('error' in parsed || (width !== undefined && parsed.cells.length !== width)) return undefined;
      this.#ahead.splice(0, more + 1);
      return parsed;
    }
    return undefined;
  }

  /** The next line that is not empty; spreadsheets save empty rows as separators alone. */
  async #line(): Promise<TextLine | undefined> {
    for (;;) {
      const line = this.#ahead.shift() ?? (await this.#read());
      if (line === undefined || line.tooLong || !EMPTY_ROW.test(line.text)) return line;
    }
  }

  async #read(): Promise<TextLine | undefined> {
    const next = await this.#lines.next();
    return next.done === true ? undefined : next.value;
  }
}

const EMPTY_ROW = /^[\s,;]*$/;
const QUOTES = 'the quotes of the line do not match';

function problemOf(text: string): string | undefined {
  if (text.includes('\uFFFD')) return 'the line is not valid UTF-8; save the file as UTF-8';
  return text.includes('\0') ? 'the line holds a NUL character' : undefined;
}

/** The cells of a record; `open` when a quoted field has no end in it. */
function split(
  text: string,
  delimiter: string,
): { readonly cells: readonly string[] } | { readonly error: string } | 'open' {
  // Without a quote RFC 4180 leaves nothing to parse; setting the parser up per line would cost ten times as much.
  if (!text.includes('"')) return { cells: text.split(delimiter) };
  try {
    // The lines are put together already: no character ends the record.
    const [cells] = parseCsv(text, { delimiter, relax_column_count: true, record_delimiter: '\0' });
    return { cells: cells ?? [] };
  } catch (error) {
    return error instanceof CsvError && error.code === 'CSV_QUOTE_NOT_CLOSED' ? 'open' : { error: QUOTES };
  }
}
