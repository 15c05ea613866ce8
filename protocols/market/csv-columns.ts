/** The index of each column of a file, and their number. */
export interface ColumnPlaces<C extends string> {
  readonly width: number;
  readonly at: ReadonlyMap<C, number>;
}

/** The columns of one kind of file, each by every name that it has in such files. */
export class CsvColumns<C extends string> {
  readonly #byName: ReadonlyMap<string, C>;

  constructor(names: Iterable<readonly [C, readonly string[]]>) {
    this.#byName = new Map([...names].flatMap(([column, all]) => all.map((name) => [name, column] as const)));
  }

  has(name: string): boolean {
    return this.#byName.has(folded(name));
  }

  /** The columns of a header: where each is, which are named twice, and which are none of these. */
  placesIn(header: readonly string[]): ColumnPlaces<C> & { twice: string[]; unknown: string[] } {
    const at = new Map<C, number>();
    const twice = new Set<string>();
    const unknown: string[] = [];
    for (const [index, cell] of header.entries()) {
      const column = this.#byName.get(folded(cell));
      if (column === undefined) unknown.push(cell.trim());
      else if (at.has(column)) twice.add(folded(cell));
      else at.set(column, index);
    }
    return { width: header.length, at, twice: [...twice], unknown };
  }
}

const DELIMITERS = [',', ';', '\t', '|'] as const;
export type Delimiter = (typeof DELIMITERS)[number];

/** The delimiter under which a header line names the most columns of any of these kinds of files. */
export function delimiterOf(header: string, kinds: readonly Pick<CsvColumns<string>, 'has'>[]): Delimiter {
  const known = (delimiter: Delimiter): number => {
    const cells = header.split(delimiter).map((cell) => cell.replaceAll('"', ''));
    return Math.max(...kinds.map((columns) => cells.filter((cell) => columns.has(cell)).length));
  };
  return DELIMITERS.reduce((best, each) => (known(each) > known(best) ? each : best));
}

/** A bad row of a file, and what is wrong with it. */
export class BadRow extends Error {}

/** The cell of a column; empty where the file has no such column. */
export type Cell<C extends string> = (name: C) => string;

/** The result for one record, or why it cannot be read. `read` throws `BadRow`. */
export function rowOf<C extends string, T>(
  record: readonly string[],
  columns: ColumnPlaces<C>,
  read: (cell: Cell<C>) => T,
): { value: T } | { error: string } {
  // R writes the names of rows without a name for their column: one cell more, and the first a number.
  const shift = record.length === columns.width + 1 && /^\d+$/.test(record[0]?.trim() ?? '') ? 1 : 0;
  if (record.length !== columns.width + shift)
    return { error: `${record.length} columns where the header has ${columns.width}` };
  try {
    return {
      value: read((name) => {
        const index = columns.at.get(name);
        return index === undefined ? '' : (record[index + shift] ?? '').trim().normalize('NFC');
      }),
    };
  } catch (error) {
    if (error instanceof BadRow) return { error: error.message };
    throw error;
  }
}

/** A text of a file as it is shown in a message. */
export function quoted(text: string, most = 40): string {
  return JSON.stringify(text.length > most ? `${text.slice(0, most)}…` : text);
}

function folded(name: string): string {
  return name.trim().toLowerCase();
}
