import { createHash } from 'node:crypto';
import { compareByTime, type HeldPrice } from './trend-snapshot.ts';
import { byStrength, type PricePoint, signalOf, type TrendQuery, type TrendReport } from './trends.ts';

/** Rows of one block of columns. */
const BLOCK = 16_384;
/** Bytes of an id that is a SHA-256 in hex, as those of facts are; any other is stored outside the columns. */
const ID_BYTES = 32;
const ID = /^[0-9a-f]{64}$/;
/** Ids hashed at once. */
const LINES = 256;

/** Columns of some rows: 76 bytes a row. Texts are numbers of their dictionaries. */
interface Block {
  readonly ids: Buffer;
  readonly goods: Uint32Array;
  readonly places: Uint32Array;
  readonly owners: Uint32Array;
  readonly dates: Uint32Array;
  readonly prices: Float64Array;
  readonly ms: Float64Array;
  readonly counters: Uint32Array;
}

function newBlock(): Block {
  const numbers = (): Uint32Array => new Uint32Array(BLOCK);
  return {
    ids: Buffer.alloc(BLOCK * ID_BYTES),
    goods: numbers(),
    places: numbers(),
    owners: numbers(),
    dates: numbers(),
    prices: new Float64Array(BLOCK),
    ms: new Float64Array(BLOCK),
    counters: numbers(),
  };
}

/** Values by number, each once. */
class Dictionary<T> {
  readonly values: T[] = [];
  readonly #numbers = new Map<string, number>();

  numberOf(name: string, value: T): number {
    const known = this.#numbers.get(name);
    if (known !== undefined) return known;
    this.#numbers.set(name, this.values.length);
    return this.values.push(value) - 1;
  }

  at(number: number): T {
    const value = this.values[number];
    if (value === undefined) throw new RangeError(`no value has the number ${number}`);
    return value;
  }
}

type Good = Pick<PricePoint, 'commodity' | 'unit' | 'currency' | 'priceType' | 'kind'>;
type Place = Pick<PricePoint, 'region' | 'market'>;

/**
 * Prices in columns: a million of them in the memory that 300,000 take as objects. Results equal those of `trendsOf` for
 * `currentPrices`, byte for byte.
 */
export class PriceTable {
  readonly #blocks: Block[] = [];
  readonly #goods = new Dictionary<Good>();
  readonly #places = new Dictionary<Place>();
  readonly #owners = new Dictionary<string>();
  readonly #dates = new Dictionary<string>();
  /** By row: ids of another form, and what a price corrects. */
  readonly #otherIds = new Map<number, string>();
  readonly #supersedes = new Map<number, string>();
  size = 0;

  add(price: HeldPrice): void {
    const { id, owner, date, commodity, unit, currency, priceType, kind, region, market, supersedes } = price;
    const row = this.size++;
    const at = row % BLOCK;
    let block = this.#blocks[Math.floor(row / BLOCK)];
    if (block === undefined) this.#blocks.push((block = newBlock()));
    if (ID.test(id)) block.ids.write(id, at * ID_BYTES, 'hex');
    else this.#otherIds.set(row, id);
    if (supersedes !== undefined) this.#supersedes.set(row, supersedes);
    const good = { commodity, unit, currency, priceType, kind };
    block.goods[at] = this.#goods.numberOf(
      JSON.stringify([commodity, unit, currency, priceType, kind]),
      good,
    );
    block.places[at] = this.#places.numberOf(JSON.stringify([region, market]), { region, market });
    block.owners[at] = this.#owners.numberOf(owner, owner);
    block.dates[at] = this.#dates.numberOf(date, date);
    block.prices[at] = price.price;
    [block.ms[at] = 0, block.counters[at] = 0] = price.at;
  }

  /** The newest day of all; undefined without prices. */
  get newest(): string | undefined {
    return this.#dates.values.reduce<string | undefined>(
      (last, date) => (last === undefined || date > last ? date : last),
      undefined,
    );
  }

  /** The prices of these rows, or of all. */
  *prices(rows: Iterable<number> = this.#rows()): Generator<HeldPrice> {
    for (const row of rows) yield this.#priceAt(row);
  }

  *#rows(): Generator<number> {
    for (let row = 0; row < this.size; row++) yield row;
  }

  /** The rows of the newest prices, by date and then by id, at most so many, in no order. */
  newestRows(most: number): number[] {
    const byDate = new Map<number, number[]>();
    for (let row = 0; row < this.size; row++) {
      const date = this.#numberAt('dates', row);
      const rows = byDate.get(date);
      if (rows === undefined) byDate.set(date, [row]);
      else rows.push(row);
    }
    const dates = [...byDate].sort(([a], [b]) => (this.#dates.at(a) < this.#dates.at(b) ? 1 : -1));
    const newest: number[] = [];
    for (const [, rows] of dates) {
      const left = most - newest.length;
      if (rows.length > left) rows.sort((a, b) => (this.#idAt(a) < this.#idAt(b) ? -1 : 1)).splice(left);
      for (const row of rows) newest.push(row);
      if (newest.length >= most) break;
    }
    return newest;
  }

  report(query: TrendQuery): TrendReport {
    const rows = this.#inOrder(this.#chosen(query));
    const byGood = new Map<number, number[]>();
    const hash = createHash('sha256');
    let [lines, asOf]: [string[], string | null] = [[], null];
    for (const row of rows) {
      const good = this.#numberAt('goods', row);
      const known = byGood.get(good);
      if (known === undefined) byGood.set(good, [row]);
      else known.push(row);
      const date = this.#dates.at(this.#numberAt('dates', row));
      if (asOf === null || date > asOf) asOf = date;
      if (lines.push(this.#idAt(row)) < LINES) continue;
      hash.update(`${lines.join('\n')}\n`);
      lines = [];
    }
    if (lines.length > 0) hash.update(`${lines.join('\n')}\n`);
    // One good after the other: never are all prices there as objects.
    const signals = [...byGood.values()].flatMap((some) => signalOf([...this.prices(some)], query) ?? []);
    return { signals: byStrength(signals, asOf), asOf, prices: rows.length, inputs: hash.digest('hex') };
  }

  /** Rows that a query covers and that are current (`currentPrices`). */
  #chosen({ region, commodity, until }: TrendQuery): number[] {
    const good = commodity?.trim().toLowerCase();
    const place = region?.trim().toLowerCase();
    const goods = this.#goods.values.map(
      (each) => good === undefined || each.commodity.toLowerCase() === good,
    );
    const places = this.#places.values.map(
      (each) =>
        place === undefined ||
        place === 'global' ||
        each.region.toLowerCase() === place ||
        each.market.toLowerCase() === place,
    );
    const dates = this.#dates.values.map((date) => until === undefined || date <= until);
    const corrected = this.#corrected();
    const again = this.#publishedAgain();
    const rows: number[] = [];
    for (let row = 0; row < this.size; row++)
      if (
        goods[this.#numberAt('goods', row)] === true &&
        places[this.#numberAt('places', row)] === true &&
        dates[this.#numberAt('dates', row)] === true &&
        this.#numberAt('prices', row) > 0 &&
        !again.has(row) &&
        (corrected.size === 0 ||
          this.#isOfCell(row) ||
          !corrected.has(`${this.#owners.at(this.#numberAt('owners', row))}/${this.#idAt(row)}`))
      )
        rows.push(row);
    return rows;
  }

  #isOfCell(row: number): boolean {
    return this.#goods.at(this.#numberAt('goods', row)).kind !== 'observed';
  }

  /** Rows of cells that their owner has published before. */
  #publishedAgain(): Set<number> {
    const first = new Map<string, number>();
    const again = new Set<number>();
    if (this.#goods.values.every(({ kind }) => kind === 'observed')) return again;
    for (let row = 0; row < this.size; row++) {
      if (!this.#isOfCell(row)) continue;
      const { region } = this.#places.at(this.#numberAt('places', row));
      const cell = ['owners', 'goods', 'dates'] as const;
      const name = JSON.stringify([region, ...cell.map((column) => this.#numberAt(column, row))]);
      const known = first.get(name);
      const isFirst = known === undefined || compareByTime(this.#priceAt(row), this.#priceAt(known)) < 0;
      if (isFirst) first.set(name, row);
      if (known !== undefined) again.add(isFirst ? known : row);
    }
    return again;
  }

  #corrected(): Set<string> {
    const corrected = new Set<string>();
    for (const [row, id] of this.#supersedes)
      if (id !== this.#idAt(row)) corrected.add(`${this.#owners.at(this.#numberAt('owners', row))}/${id}`);
    return corrected;
  }

  /** Rows by their ids, each id once. */
  #inOrder(rows: readonly number[]): number[] {
    if (this.#otherIds.size > 0) return this.#onceEach(rows);
    // Sorted as numbers of 64 bits: the first 40 of an id, then the place among the rows. Only equal beginnings are compared as text.
    const halves = new Uint32Array(rows.length * 2);
    for (const [i, row] of rows.entries()) {
      const start = this.#blockOf(row).ids.readUIntBE((row % BLOCK) * ID_BYTES, 5);
      halves[2 * i] = (start % 256) * 2 ** 24 + i;
      halves[2 * i + 1] = Math.floor(start / 256);
    }
    const order = new BigUint64Array(halves.buffer).sort();
    const low = new Uint32Array(order.buffer);
    const found: number[] = [];
    const begins = (i: number): number =>
      (low[2 * i + 1] ?? 0) * 256 + Math.floor((low[2 * i] ?? 0) / 2 ** 24);
    for (let [i, end] = [0, 1]; i < rows.length; i = end++) {
      while (end < rows.length && begins(end) === begins(i)) end++;
      const same = Array.from({ length: end - i }, (_, n) => rows[(low[2 * (i + n)] ?? 0) % 2 ** 24] ?? 0);
      for (const row of same.length === 1 ? same : this.#onceEach(same)) found.push(row);
    }
    return found;
  }

  #onceEach(rows: readonly number[]): number[] {
    const byId = new Map(rows.map((row) => [this.#idAt(row), row]));
    return [...byId].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row);
  }

  #blockOf(row: number): Block {
    const block = this.#blocks[Math.floor(row / BLOCK)];
    if (block === undefined) throw new RangeError(`there is no row ${row}`);
    return block;
  }

  #numberAt(column: Exclude<keyof Block, 'ids'>, row: number): number {
    return this.#blockOf(row)[column][row % BLOCK] ?? 0;
  }

  #idAt(row: number): string {
    const at = (row % BLOCK) * ID_BYTES;
    return this.#otherIds.get(row) ?? this.#blockOf(row).ids.toString('hex', at, at + ID_BYTES);
  }

  #priceAt(row: number): HeldPrice {
    const supersedes = this.#supersedes.get(row);
    return {
      id: this.#idAt(row),
      owner: this.#owners.at(this.#numberAt('owners', row)),
      at: [this.#numberAt('ms', row), this.#numberAt('counters', row)],
      date: this.#dates.at(this.#numberAt('dates', row)),
      ...this.#goods.at(this.#numberAt('goods', row)),
      ...this.#places.at(this.#numberAt('places', row)),
      price: this.#numberAt('prices', row),
      ...(supersedes === undefined ? {} : { supersedes }),
    };
  }
}
